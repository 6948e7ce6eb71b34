"""Densely connected networks: the input of a layer is the concatenation of all outputs before it.

Huang, Liu, van der Maaten, Weinberger: Densely Connected Convolutional Networks, arXiv:1608.06993.
Parameters are named as in torchvision, so that state dicts can be exchanged. `memory_efficient`:
Pleiss et al., Memory-Efficient Implementation of DenseNets, arXiv:1707.06990.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lightning_resnets.errors import ModelError
from lightning_resnets.merges import Concat
from lightning_resnets.models.heads import make_head
from lightning_resnets.utils.arguments import check_choice


class DenseLayer(nn.Module):
    """BN, ReLU and 3x3 convolution, with a bottleneck in front of it ("B", section 3).

    Args:
        inplanes: channels of all inputs together.
        growth_rate: channels of the output, the paper's k.
        bottleneck_factor: the bottleneck is a 1x1 convolution to this many times k channels; 0 for
            none.
        dropout: probability behind the last convolution.
        memory_efficient: keep neither the concatenated input nor its norm in training, but compute
            them again in the backward pass.
    """

    def __init__(
        self,
        inplanes: int,
        growth_rate: int,
        bottleneck_factor: int = 4,
        dropout: float = 0.0,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.memory_efficient = memory_efficient
        inner = bottleneck_factor * growth_rate
        # Inputs are concatenated here, so that every layer has a named merge.
        self.concat = Concat()
        self.norm1 = nn.BatchNorm2d(inplanes)
        self.relu1 = nn.ReLU()
        if bottleneck_factor:
            self.conv1 = nn.Conv2d(inplanes, inner, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(inner)
            self.relu2 = nn.ReLU()
            self.conv2 = nn.Conv2d(inner, growth_rate, 3, padding=1, bias=False)
        else:
            self.conv1 = nn.Conv2d(inplanes, growth_rate, 3, padding=1, bias=False)
            self.norm2 = self.relu2 = self.conv2 = None
        self.dropout = nn.Dropout(dropout) if dropout else None

    def forward(self, *features: Tensor) -> Tensor:
        """Map all outputs so far, each (N, C_i, H, W), to (N, growth_rate, H, W)."""
        if self.memory_efficient and self.training and torch.is_grad_enabled():
            # Backward computes concat, norm and ReLU again instead of keeping their outputs.
            x = checkpoint(
                self.bottleneck, *features, use_reentrant=False, context_fn=self._make_contexts
            )
        else:
            x = self.bottleneck(*features)
        if self.conv2 is not None and self.norm2 is not None and self.relu2 is not None:
            x = self.conv2(self.relu2(self.norm2(x)))
        # (N, growth_rate, H, W)
        return x if self.dropout is None else self.dropout(x)

    def bottleneck(self, *features: Tensor) -> Tensor:
        """Compute the part that is cheap to recompute but large to keep.

        Args:
            *features: all outputs so far, each (N, C_i, H, W).

        Returns:
            The first convolution's output (N, C, H, W).
        """
        return self.conv1(self.relu1(self.norm1(self.concat(*features))))

    def _make_contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Return the contexts of the first pass and of the recomputation."""
        return nullcontext(), self._frozen_statistics()

    @contextmanager
    def _frozen_statistics(self) -> Iterator[None]:
        """Keep the recomputation from updating the norm's running statistics a second time."""
        norm = self.norm1
        momentum = norm.momentum
        num_batches_tracked = norm.num_batches_tracked
        # With momentum 0 an update keeps the old statistics.
        norm.momentum = 0.0
        norm.num_batches_tracked = None
        try:
            yield
        finally:
            norm.momentum = momentum
            norm.num_batches_tracked = num_batches_tracked


class DenseBlock(nn.Module):
    """Layers `denselayer1` to `denselayer{depth}`; returns its input and all their outputs.

    Args:
        depth: number of layers.
        inplanes: channels of the input.
        growth_rate: see `DenseLayer`, as for all that follow.
        bottleneck_factor: factor of the bottleneck.
        dropout: probability of dropout.
        memory_efficient: recompute in the backward pass.
    """

    def __init__(
        self,
        depth: int,
        inplanes: int,
        growth_rate: int,
        bottleneck_factor: int,
        dropout: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.depth = depth
        for index in range(depth):
            layer = DenseLayer(
                inplanes + index * growth_rate,
                growth_rate,
                bottleneck_factor,
                dropout,
                memory_efficient,
            )
            self.add_module(f"denselayer{index + 1}", layer)
        self.concat = Concat()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inplanes, H, W) to (N, inplanes + depth * growth_rate, H, W)."""
        # Each layer reads the block's input and all outputs before it.
        features = [x]
        for index in range(self.depth):
            layer = self.get_submodule(f"denselayer{index + 1}")
            features.append(layer(*features))
        return self.concat(*features)  # (N, inplanes + depth * growth_rate, H, W)


class Transition(nn.Sequential):
    """BN, ReLU, 1x1 convolution and 2x2 mean between two dense blocks.

    Args:
        inplanes: channels of the input.
        planes: channels of the output, fewer with compression ("C", section 3).
    """

    def __init__(self, inplanes: int, planes: int) -> None:
        super().__init__(
            OrderedDict(
                norm=nn.BatchNorm2d(inplanes),
                relu=nn.ReLU(),
                conv=nn.Conv2d(inplanes, planes, 1, bias=False),
                pool=nn.AvgPool2d(2),
            )
        )


def imagenet_stem(width: int, in_channels: int = 3) -> "OrderedDict[str, nn.Module]":
    """Build the 7x7 convolution, norm, ReLU and max-pool for ImageNet.

    Args:
        width: channels of the output.
        in_channels: channels of the image.

    Returns:
        The modules by name.
    """
    return OrderedDict(
        conv0=nn.Conv2d(in_channels, width, 7, 2, padding=3, bias=False),
        norm0=nn.BatchNorm2d(width),
        relu0=nn.ReLU(),
        pool0=nn.MaxPool2d(3, 2, padding=1),
    )


def cifar_stem(width: int, in_channels: int = 3) -> "OrderedDict[str, nn.Module]":
    """Build the 3x3 convolution for CIFAR.

    Args:
        width: channels of the output.
        in_channels: channels of the image.

    Returns:
        The convolution by name, for `nn.Sequential`.
    """
    # The first norm of the first block follows, so that the stem needs none.
    return OrderedDict(conv0=nn.Conv2d(in_channels, width, 3, padding=1, bias=False))


class DenseNet(nn.Module):
    """Stem, dense blocks with transitions between them, BN and ReLU, global mean, `classifier`.

    Input (N, in_channels, H, W), output (N, num_classes) logits.

    Args:
        depths: number of layers in each block.
        growth_rate: the paper's k.
        stem_width: channels in front of the first block.
        num_classes: width of the last layer; 0 for a feature extractor without one.
        stem: "imagenet" or "cifar".
        bottleneck_factor: 4 for "B", 0 for no bottlenecks.
        compression: fraction of channels that a transition keeps ("C" is 0.5).
        dropout: probability in every layer.
        memory_efficient: trade time for memory in training; outputs, gradients and statistics stay
            the same.
        in_channels: channels of the image.
        head_widths: widths of linear layers in front of the last one, each followed by ReLU.
    """

    def __init__(
        self,
        depths: tuple[int, ...],
        growth_rate: int = 32,
        stem_width: int = 64,
        num_classes: int = 1000,
        stem: Literal["imagenet", "cifar"] = "imagenet",
        bottleneck_factor: int = 4,
        compression: float = 0.5,
        dropout: float = 0.0,
        memory_efficient: bool = False,
        in_channels: int = 3,
        head_widths: Sequence[int] = (),
    ) -> None:
        super().__init__()
        check_choice("stem", stem, ("imagenet", "cifar"), ModelError)
        make_stem = imagenet_stem if stem == "imagenet" else cifar_stem
        self.features = nn.Sequential(make_stem(stem_width, in_channels))
        planes = stem_width
        for index, depth in enumerate(depths, 1):
            block = DenseBlock(
                depth, planes, growth_rate, bottleneck_factor, dropout, memory_efficient
            )
            self.features.add_module(f"denseblock{index}", block)
            planes += depth * growth_rate
            if index < len(depths):
                planes = self._add_transition(index, planes, compression)
        self.features.add_module("norm5", nn.BatchNorm2d(planes))
        self.relu = nn.ReLU()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = make_head(planes, num_classes, head_widths)
        self._reset_parameters()

    def _add_transition(self, index: int, planes: int, compression: float) -> int:
        """Add a transition behind a block; return its channels."""
        # Rounded down, as the paper does (section 3).
        kept = int(planes * compression)
        self.features.add_module(f"transition{index}", Transition(planes, kept))
        return kept

    def _reset_parameters(self) -> None:
        """Initialize convolutions as in He et al. 2015; the classifier's bias starts at 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        # As in torchvision.
        if isinstance(self.classifier, nn.Linear):
            nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.relu(self.features(x))  # (N, C, H, W)
        x = torch.flatten(self.avgpool(x), 1)  # (N, C)
        return self.classifier(x)  # (N, num_classes), or (N, C) without a head
