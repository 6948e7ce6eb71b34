"""AlexNet, VGG and Inception-v3 from torchvision, as baselines of residual models.

torchvision is imported only when one of them is built. Its options are not passed on except for
`dropout`: a model card must not be able to ask for a download (`weights`).
"""

from torch import nn

from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.models.external import disable_inplace


def sequential_baseline(
    name: str, num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3
) -> nn.Module:
    """Build AlexNet (arXiv:1404.5997) or a VGG (arXiv:1409.1556, table 1; batch norm as `_bn`).

    Args:
        name: torchvision's name of the model.
        num_classes: width of the last layer; 0 for a feature extractor without one.
        dropout: probability in front of or behind the first two linear layers.
        in_channels: channels of the image.

    Returns:
        The model; input (N, in_channels, H, W), output (N, num_classes) logits.
    """
    from torchvision import models

    model = models.get_model(name, weights=None, num_classes=max(num_classes, 1), dropout=dropout)
    if num_classes == 0:
        model.set_submodule("classifier.6", nn.Identity())
    _set_in_channels(model, "features.0", in_channels)
    return disable_inplace(model)


def inception_v3(num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3) -> nn.Module:
    """Build Inception-v3 (arXiv:1512.00567) with named merges and no auxiliary classifier.

    Args:
        num_classes: width of the last layer; 0 for a feature extractor without one.
        dropout: probability in front of the last layer.
        in_channels: channels of the image.

    Returns:
        The model, (N, in_channels, H, W) to logits (N, num_classes); sides of at least 75 pixels.
    """
    from torchvision import models

    model = models.inception_v3(
        num_classes=max(num_classes, 1),
        dropout=dropout,
        aux_logits=False,
        transform_input=False,
        # It redraws until no weight is extreme, which never ends under `skip_init`.
        init_weights=False,
    )
    if num_classes == 0:
        model.set_submodule("fc", nn.Identity())
    _set_in_channels(model, "Conv2d_1a_3x3.conv", in_channels)
    return insert_merges(disable_inplace(model), (in_channels, 299, 299))


def _set_in_channels(model: nn.Module, name: str, in_channels: int) -> None:
    """Replace the first convolution by one for images of another number of channels."""
    conv = model.get_submodule(name)
    assert isinstance(conv, nn.Conv2d)
    if in_channels == conv.in_channels:
        return
    replacement = nn.Conv2d(
        in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type] - a pair
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        bias=conv.bias is not None,
    )
    model.set_submodule(name, replacement)
