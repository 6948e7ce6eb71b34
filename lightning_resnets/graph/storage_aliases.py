"""Which tensors share memory, so that one that was overwritten by way of another is not taken for what it was."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(eq=False, slots=True)
class _Memory:
    """Tensors over the same memory, and what splits of it lie over."""

    tensors: list[int] = field(default_factory=list[int])
    whole: "_Memory | None" = None
    parts: "list[_Memory]" = field(default_factory=list["_Memory"])


class StorageAliases:
    """Keeps what was made of what, by the ids of tensors that stay alive."""

    def __init__(self) -> None:
        self.memory: dict[int, _Memory] = {}
        self.overwritten: set[int] = set()

    def register(self, tensor: Tensor, value: Tensor, given: list[Tensor], whole: bool) -> None:
        """A tensor stands for a value that was made of those given: a view of one of them, or parts of it, or new."""
        source = next((item for item in given if _place(item) == _place(value)), None)
        if source is None:
            return
        memory = self.aliases_of(source)
        if whole:
            self.memory[id(tensor)] = memory
            memory.tensors.append(id(tensor))
        else:
            part = self.memory[id(tensor)] = _Memory([id(tensor)], memory)
            memory.parts.append(part)

    def mark_written(self, tensor: Tensor) -> None:
        """The tensor was overwritten: all others over its memory are not what they were."""
        memory = self.aliases_of(tensor)
        above = memory.whole
        self.overwritten.update(memory.tensors, _below(memory))
        while above:
            self.overwritten.update(above.tensors)
            above = above.whole
        self.overwritten.discard(id(tensor))

    def mark_valid(self, tensor: Tensor) -> None:
        """The tensor is what it should be after all."""
        self.overwritten.discard(id(tensor))

    def share_storage(self, one: Tensor, other: Tensor) -> bool:
        """True for tensors over the same memory."""
        return self.aliases_of(one) is self.aliases_of(other)

    def is_stale(self, tensor: Tensor) -> bool:
        """True for a tensor that was overwritten by way of another."""
        return id(tensor) in self.overwritten

    def aliases_of(self, tensor: Tensor) -> _Memory:
        return self.memory.setdefault(id(tensor), _Memory([id(tensor)]))


def _below(memory: _Memory) -> list[int]:
    return [tensor for part in memory.parts for tensor in (*part.tensors, *_below(part))]


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
