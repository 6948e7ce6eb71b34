"""Find the last layers among weights that belong to no body, whatever they are called."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lightning_resnets.checkpoint.identify.spellings import HEAD_RE


@dataclass(frozen=True, slots=True)
class Head:
    """The layers behind the body of a model.

    Attributes:
        names: our name of each of the file's keys, (key, name), in the file's order.
        widths: widths of the layers in front of the last one.
        leftover_keys: keys of a head that is not a chain of linear layers.
    """

    names: tuple[tuple[str, str], ...] = ()
    widths: tuple[int, ...] = ()
    leftover_keys: tuple[str, ...] = ()

    @property
    def is_missing(self) -> bool:
        """Return True if no linear layer was found."""
        return not self.names


def find_head(weights: Mapping[str, Tensor], channels: int, name: str) -> Head:
    """Find the head of a model.

    Args:
        weights: weights that do not belong to the body, by the file's keys.
        channels: channels of the feature vector.
        name: what the last layer is called in our models: `fc` or `classifier`.

    Returns:
        The head: linear layers under our names, or the keys of one that is something else.
    """
    keys = [key for key in weights if HEAD_RE.fullmatch(key)]
    layers = _group_by_layer(keys)
    unknown = Head(leftover_keys=tuple(keys))
    if any(not _has_weight(leaves) for leaves in layers.values()):
        # A bias alone is a piece of the last layer, in conflict with another or not.
        return _name_layers({"": keys}, name, ())
    matrices = [layer for layer, leaves in layers.items() if _is_linear(weights, leaves)]
    if not keys or len(matrices) < len(layers):
        return unknown
    widths = _chain(weights, matrices, channels)
    # One layer is the last layer, even if its shape is wrong: that must be said.
    if widths is None and len(matrices) > 1:
        return unknown
    return _name_layers(layers, name, widths or ())


def _name_layers(layers: Mapping[str, list[str]], name: str, widths: tuple[int, ...]) -> Head:
    """Give linear layers our names: `fc`, or `fc.0`, `fc.2` with ReLU between them."""
    names = list[tuple[str, str]]()
    for number, leaves in enumerate(layers.values()):
        # ReLU has a number, too.
        layer = f"{name}.{2 * number}" if widths else name
        names += [(key, f"{layer}.{key.rpartition('.')[2]}") for key in leaves]
    return Head(tuple(names), widths)


def _group_by_layer(keys: list[str]) -> dict[str, list[str]]:
    """Return the keys of each layer."""
    layers = dict[str, list[str]]()
    for key in keys:
        layers.setdefault(key.rpartition(".")[0], []).append(key)
    return layers


def _has_weight(keys: list[str]) -> bool:
    """Return True if a layer has more than a bias."""
    return any(key.rpartition(".")[2] != "bias" for key in keys)


def _is_linear(weights: Mapping[str, Tensor], keys: list[str]) -> bool:
    """Return True for a matrix with a bias or without one."""
    shapes = {key.rpartition(".")[2]: tuple(weights[key].shape) for key in keys}
    if not shapes.keys() <= {"weight", "bias"} or "weight" not in shapes:
        return False
    # Old Caffe has leading ones, and some models have a 1x1 convolution.
    sides = [side for side in shapes["weight"] if side > 1]
    return len(shapes["weight"]) in (2, 4) and len(sides) <= 2


def _chain(
    weights: Mapping[str, Tensor], layers: list[str], channels: int
) -> tuple[int, ...] | None:
    """Return the widths of all layers but the last if each fits the one before, else None."""
    widths = list[int]()
    for layer in layers:
        shape = weights[f"{layer}.weight"].shape
        if channels not in shape[:2]:
            return None
        # torch stores (out, in), some frameworks (in, out).
        channels = shape[0] if shape[1] == channels else shape[1]
        widths.append(channels)
    return tuple(widths[:-1])
