"""Tensors over the same memory, with torch's own memory as the oracle."""

import torch
from torch import Tensor

from lightning_resnets.graph.storage_aliases import StorageAliases


def family() -> tuple[StorageAliases, dict[str, Tensor]]:
    """A tensor, a view of all of it, parts of it, a part of a part, and one made new."""
    whole = torch.zeros(1, 4, 2, 2)
    flat, (left, right) = whole.flatten(1), whole.split(2, 1)
    corner, new = left[:, :1], whole + 1
    tensors = {
        "whole": whole,
        "flat": flat,
        "left": left,
        "right": right,
        "corner": corner,
        "new": new,
    }
    aliases = StorageAliases()
    made_of = {
        "flat": (whole, True),
        "left": (whole, False),
        "right": (whole, False),
        "corner": (left, False),
    }
    for name, (source, entire) in made_of.items():
        aliases.register(tensors[name], tensors[name], [source], entire)
    aliases.register(new, new, [whole], False)
    return aliases, tensors


def test_tensors_over_overwritten_memory_are_stale() -> None:
    for written in ("whole", "flat", "left", "right", "corner", "new"):
        aliases, tensors = family()
        before = {name: tensor.clone() for name, tensor in tensors.items()}
        tensors[written].add_(1)
        aliases.mark_written(tensors[written])
        changed = {
            name for name, tensor in tensors.items() if not torch.equal(tensor, before[name])
        }
        assert {name for name, tensor in tensors.items() if aliases.is_stale(tensor)} == changed - {
            written
        }, written


def test_sharing_is_of_the_whole_memory() -> None:
    aliases, tensors = family()
    assert aliases.share_storage(tensors["whole"], tensors["flat"])
    assert not aliases.share_storage(tensors["whole"], tensors["left"])
    assert not aliases.share_storage(tensors["whole"], tensors["new"])


def test_a_tensor_that_was_put_right_is_sound() -> None:
    aliases, tensors = family()
    aliases.mark_written(tensors["left"])
    assert aliases.is_stale(tensors["whole"])
    aliases.mark_valid(tensors["whole"])
    assert not aliases.is_stale(tensors["whole"])
