"""Operations that only recorded graphs contain: checks that they apply, and the batch size."""

import operator
from typing import Any

from torch import Tensor, fx

DIFFERENT_OPS = "its operations differ between one image and two"


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
            f"This model was recorded for images of {recorded}, got {actual}: "
            "call insert_merges with the new size."
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
            "This model branches on its values, and differently for this image than when it was "
            "recorded: run the original model instead."
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
    # A model that loops over the images of a batch has other nodes for two.
    if [(a.op, a.target) for a in one.nodes] != [(b.op, b.target) for b in two.nodes]:
        raise ValueError(DIFFERENT_OPS)
    batch = _insert_batch_size(one)
    nodes = [node for node in one.nodes if node is not batch]
    for node, other in zip(nodes, two.nodes, strict=True):
        arguments = (node.args, node.kwargs)
        with one.inserting_before(node):
            merged = _merge_values(arguments, (other.args, other.kwargs), batch)
        node.args = merged[0]
        node.kwargs = merged[1]
    if not batch.users:
        one.erase_node(batch)


def _insert_batch_size(graph: fx.Graph) -> fx.Node:
    """Insert a node that reads the batch size, behind the checks of the image."""
    image = next(iter(graph.nodes))
    first = next(node for node in graph.nodes if node.op != "placeholder")
    # A wrong size must raise before any operation runs.
    while first.target is check_image_size:
        first = first.next
    with graph.inserting_before(first):
        return graph.call_method("size", (image, 0))


def _merge_values(one: Any, two: Any, batch: fx.Node) -> Any:
    """Return the value for any batch size from those for one and two images."""
    if isinstance(one, (tuple, list)) and len(one) == len(two):
        parts = zip(one, two, strict=True)
        return type(one)([_merge_values(a, b, batch) for a, b in parts])
    if isinstance(one, dict):
        return {name: _merge_values(value, two[name], batch) for name, value in one.items()}
    if isinstance(one, slice):
        ends = ("start", "stop", "step")
        return slice(*(_merge_values(getattr(one, end), getattr(two, end), batch) for end in ends))
    # Nodes of the two graphs are never equal, but correspond.
    if isinstance(one, fx.Node) or one is two or one == two:
        return one
    if not (isinstance(one, int) and isinstance(two, int)):
        raise ValueError(DIFFERENT_OPS)
    # Two points give a line: n * growth + (one - growth).
    return _linear_in_batch(one, two - one, batch)


def _linear_in_batch(one: int, growth: int, batch: fx.Node) -> fx.Node:
    """Write the number that is `one` for one image and grows by `growth` with each further one."""
    graph = batch.graph
    scaled = batch
    if growth != 1:
        scaled = graph.call_function(operator.mul, (batch, growth))
    if one == growth:
        return scaled
    return graph.call_function(operator.add, (scaled, one - growth))
