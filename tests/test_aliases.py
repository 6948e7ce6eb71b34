"""What is over the same memory is told from what only looks alike, with torch's own memory as the judge."""

import torch
from torch import Tensor

from lightning_resnets.graph.aliases import Aliases


def family() -> tuple[Aliases, dict[str, Tensor]]:
    """A tensor, a view of all of it, parts of it, a part of a part, and one made new."""
    whole = torch.zeros(1, 4, 2, 2)
    flat, (left, right) = whole.flatten(1), whole.split(2, 1)
    corner, new = left[:, :1], whole + 1
    tensors = {"whole": whole, "flat": flat, "left": left, "right": right, "corner": corner, "new": new}
    aliases = Aliases()
    made_of = {"flat": (whole, True), "left": (whole, False), "right": (whole, False), "corner": (left, False)}
    for name, (source, entire) in made_of.items():
        aliases.made(tensors[name], tensors[name], [source], entire)
    aliases.made(new, new, [whole], False)
    return aliases, tensors


def test_what_is_stale_is_what_memory_changed_under() -> None:
    for written in ("whole", "flat", "left", "right", "corner", "new"):
        aliases, tensors = family()
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        tensors[written].add_(1)
        aliases.written(tensors[written])
        changed = {name for name, tensor in tensors.items() if not torch.equal(tensor, before[name])}
        assert {name for name, tensor in tensors.items() if aliases.stale(tensor)} == changed - {written}, written


def test_sharing_is_of_the_whole_memory() -> None:
    aliases, tensors = family()
    assert aliases.share(tensors["whole"], tensors["flat"])
    assert not aliases.share(tensors["whole"], tensors["left"])
    assert not aliases.share(tensors["whole"], tensors["new"])


def test_a_tensor_that_was_put_right_is_sound() -> None:
    aliases, tensors = family()
    aliases.written(tensors["left"])
    assert aliases.stale(tensors["whole"])
    aliases.sound(tensors["whole"])
    assert not aliases.stale(tensors["whole"])
