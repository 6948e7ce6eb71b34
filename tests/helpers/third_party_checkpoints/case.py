"""Content of a third-party checkpoint, and what its own project computes from it."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

IMAGENET_SIZE = 64  # pixels a side; the real 224 would only be slower
CIFAR_SIZE = 32

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A checkpoint with random weights, and reference outputs of its own project's arithmetic.

    Attributes:
        content: what the project saves: a state dict, or a dict that contains one.
        image: input of the reference, normalized already, (1, C, H, W).
        features: output of the global average pooling, (1, channels).
        logits: output of the head, (1, classes); None without a head of linear layers.
        other_features: features of the file's further models, by their name in the file.
        is_pickle: saved by `pickle.dump` instead of `torch.save`.
    """

    content: Any
    image: Tensor
    features: Tensor
    logits: Tensor | None = None
    other_features: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    is_pickle: bool = False

    def save(self, path: Path) -> Path:
        """Write the file as the project does."""
        if self.is_pickle:
            path.write_bytes(pickle.dumps(self.content, protocol=2))
        else:
            torch.save(self.content, path)
        return path


def random_images(channels: int, size: int, count: int = 1, seed: int = 0) -> Tensor:
    """Return normalized images, (count, channels, size, size)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, size, size, generator=generator)


def make_trained(
    model: Model, channels: int = 3, size: int = IMAGENET_SIZE, seed: int = 0
) -> Model:
    """Give a model random batch norms that fit its activations, and set evaluation mode.

    Every branch then contributes to the output, and values neither vanish nor explode.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.weight.data.uniform_(0.5, 1.5, generator=generator)
        norm.bias.data.normal_(0, 0.2, generator=generator)
        norm.momentum = 1  # the running statistics become those of the next batch
    with torch.no_grad():
        model.train()(random_images(channels, size, 4, seed + 1))
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        noise = torch.randn(norm.running_mean.shape, generator=generator)
        norm.running_mean += 0.1 * noise * norm.running_var.sqrt()
        norm.running_var *= torch.rand(noise.shape, generator=generator) + 0.5
    return model.eval()


def seed_weights(seed: int) -> None:
    """Make the initial weights of the next model reproducible."""
    torch.manual_seed(seed)


@torch.no_grad()
def run(model: nn.Module, image: Tensor, head: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the pooled features that enter `head`, and the model's logits."""
    caught = list[Tensor]()
    handle = head.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    logits = model(image)
    handle.remove()
    features = caught[0]
    return (features if features.ndim == 2 else features.mean((2, 3))), logits


def is_counter(key: str) -> bool:
    """Return True for `num_batches_tracked`, which frozen batch norms do not have."""
    return key.endswith("num_batches_tracked")
