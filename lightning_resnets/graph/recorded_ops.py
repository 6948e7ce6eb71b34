"""Operations that only recorded graphs contain: checks that they apply, and the batch size."""

import operator
from typing import Any

from torch import Tensor, fx

DIFFERENT_OPS = "it takes other steps for two images than for one"


def check_image_size(image: Tensor, size: tuple[int, ...]) -> None:
    """Check the size of the images; the first node of a recorded graph.

    Args:
        image: images (N, C, H, W).
        size: the recorded (C, H, W).

    Raises:
        ValueError: the size differs.
    """
    if tuple(image.shape[1:]) != tuple(size):
        recorded = "×".join(map(str, size))
        actual = "×".join(map(str, image.shape[1:]))
        raise ValueError(
            f"The steps of this model were recorded for images of {recorded}: "
            f"they hold for none of {actual}."
        )


def check_branch(question: Tensor, answer: bool) -> None:
    """Check that the model branches on a value as it did when it was recorded.

    Args:
        question: the value.
        answer: the recorded answer.

    Raises:
        ValueError: the answer differs.
    """
    if bool(question) is not answer:
        raise ValueError(
            "This model takes other steps for this image than those recorded: "
            "they depend on its values."
        )


def apply_out_of_place(tensor: Tensor, method: str, *args: Any, **kwargs: Any) -> Tensor:
    """Apply an in-place method to a copy of a tensor.

    Args:
        tensor: the tensor, which stays unchanged.
        method: name of the method.
        args: its arguments.
        kwargs: its keyword arguments.

    Returns:
        The changed copy.
    """
    copied = tensor.clone()
    getattr(copied, method)(*args, **kwargs)
    return copied


def generalize_batch_size(one: fx.Graph, two: fx.Graph) -> None:
    """Make a graph recorded for one image valid for any batch size.

    Args:
        one: the graph for one image, changed in place.
        two: the graph for two images; what differs depends on the batch size.

    Raises:
        ValueError: the graphs have different nodes.
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
    """Return the value for any batch size from those for one and two images."""
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
