"""Heads: one linear layer, several with ReLU between them, or none."""

from collections.abc import Sequence

from torch import nn


def make_head(channels: int, num_classes: int, hidden: Sequence[int] = ()) -> nn.Module:
    """Build what follows the global mean.

    Args:
        channels: channels C of the feature vector.
        num_classes: width of the last layer; 0 for no head, so that the model returns features.
        hidden: widths of linear layers in front of the last one, each followed by ReLU.

    Returns:
        Maps (N, C) to logits (N, num_classes), or returns the features (N, C).
    """
    # Not None: models call their head in any case, and hooks find a module of its name.
    if num_classes == 0:
        return nn.Identity()
    if not hidden:
        return nn.Linear(channels, num_classes)
    layers = list[nn.Module]()
    for width in hidden:
        layers += [nn.Linear(channels, width), nn.ReLU()]
        channels = width
    # Logits may be negative, so no ReLU follows.
    return nn.Sequential(*layers, nn.Linear(channels, num_classes))
