"""What recorded steps hold that torch.fx would not write: checks that they apply, and the number of images."""

import operator
from typing import Any

from torch import Tensor, fx

DIFFERENT_OPS = "it takes other steps for two images than for one"


def check_image_size(image: Tensor, size: tuple[int, ...]) -> None:
    """The first step of recorded steps: images (N, C, H, W) of another size than the one recorded are refused."""
    if tuple(image.shape[1:]) != tuple(size):
        known, given = ("×".join(map(str, sides)) for sides in (size, image.shape[1:]))
        raise ValueError(
            f"The steps of this model were recorded for images of {known}: they hold for none of {given}."
        )


def check_branch(question: Tensor, answer: bool) -> None:
    """A step where the model decides by what it computed: it must decide as it did when it was recorded."""
    if bool(question) is not answer:
        raise ValueError(
            "This model takes other steps for this image than those recorded: they depend on its values."
        )


def apply_out_of_place(tensor: Tensor, method: str, *args: Any, **kwargs: Any) -> Tensor:
    """What a method that works in place would make of the tensor, which is left as it is."""
    copied = tensor.clone()
    getattr(copied, method)(*args, **kwargs)
    return copied


def generalize_batch_size(one: fx.Graph, two: fx.Graph) -> None:
    """Change the steps recorded for one image so that they hold for any number, by what differs for two.

    Raises ValueError where other steps are taken.
    """
    if [(a.op, a.target) for a in one.nodes] != [(b.op, b.target) for b in two.nodes]:
        raise ValueError(DIFFERENT_OPS)
    image = next(iter(one.nodes))
    with one.inserting_before(list(one.nodes)[2]):
        batch = one.call_method("size", (image, 0))
    nodes = [node for node in one.nodes if node is not batch]
    for node, other in zip(nodes, two.nodes, strict=True):
        with one.inserting_before(node):
            given = _both((node.args, node.kwargs), (other.args, other.kwargs), batch)
        node.args, node.kwargs = given
    if not batch.users:
        one.erase_node(batch)


def _both(one: Any, two: Any, batch: fx.Node) -> Any:
    """What holds for any number of images, where this holds for one and that for two."""
    if isinstance(one, (tuple, list)) and len(one) == len(two):
        return type(one)([_both(a, b, batch) for a, b in zip(one, two, strict=True)])
    if isinstance(one, dict):
        return {name: _both(value, two[name], batch) for name, value in one.items()}
    if isinstance(one, slice):
        return slice(
            *(_both(getattr(one, n), getattr(two, n), batch) for n in ("start", "stop", "step"))
        )
    if isinstance(one, fx.Node) or one is two or one == two:
        return one
    if not (isinstance(one, int) and isinstance(two, int)):
        raise ValueError(DIFFERENT_OPS)
    growth = two - one
    scaled = batch if growth == 1 else batch.graph.call_function(operator.mul, (batch, growth))
    return (
        scaled if one == growth else batch.graph.call_function(operator.add, (scaled, one - growth))
    )
