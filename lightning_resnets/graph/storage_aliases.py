"""Track which tensors share memory, to notice a tensor that was overwritten through another."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(eq=False, slots=True)
class _Memory:
    """Tensors over the same memory, the memory it is a part of, and its parts."""

    # By id: tensors compare elementwise.
    tensors: list[int] = field(default_factory=list[int])
    whole: "_Memory | None" = None
    parts: "list[_Memory]" = field(default_factory=list["_Memory"])


class StorageAliases:
    """Memory of tensors by id; the caller keeps the tensors alive."""

    def __init__(self) -> None:
        self.memory: dict[int, _Memory] = {}
        self.overwritten: set[int] = set()

    def register(self, tensor: Tensor, value: Tensor, inputs: list[Tensor], is_whole: bool) -> None:
        """Register the fake tensor of an operation's output.

        Args:
            tensor: the fake tensor.
            value: the output itself, which may be a view of an input.
            inputs: tensors that the operation read.
            is_whole: True for a view of all of the input's memory, False for a part.
        """
        source = next((item for item in inputs if _address(item) == _address(value)), None)
        if source is None:
            return
        memory = self.memory_of(source)
        if is_whole:
            self.memory[id(tensor)] = memory
            memory.tensors.append(id(tensor))
        else:
            # Two parts of one tensor may be disjoint, so they are not marked together.
            part = _Memory([id(tensor)], memory)
            self.memory[id(tensor)] = part
            memory.parts.append(part)

    def mark_written(self, tensor: Tensor) -> None:
        """Mark all other tensors over a tensor's memory as overwritten.

        Args:
            tensor: the tensor that an operation wrote to.
        """
        memory = self.memory_of(tensor)
        self.overwritten.update(memory.tensors, _tensors_in_parts(memory))
        # A write to a part also changes what contains it.
        whole = memory.whole
        while whole:
            self.overwritten.update(whole.tensors)
            whole = whole.whole
        self.overwritten.discard(id(tensor))

    def mark_valid(self, tensor: Tensor) -> None:
        """Mark a tensor as not overwritten.

        Args:
            tensor: a tensor whose node now returns the new values.
        """
        self.overwritten.discard(id(tensor))

    def share_storage(self, one: Tensor, other: Tensor) -> bool:
        """Return True for tensors over the same memory.

        Args:
            one: a tensor.
            other: a tensor.
        """
        return self.memory_of(one) is self.memory_of(other)

    def is_stale(self, tensor: Tensor) -> bool:
        """Return True for a tensor that was overwritten through another.

        Args:
            tensor: a tensor.
        """
        return id(tensor) in self.overwritten

    def memory_of(self, tensor: Tensor) -> _Memory:
        """Return the memory of a tensor, registered on first use.

        Args:
            tensor: a tensor.
        """
        return self.memory.setdefault(id(tensor), _Memory([id(tensor)]))


def _tensors_in_parts(memory: _Memory) -> list[int]:
    """Return the tensors over parts of a memory, and over their parts."""
    tensors: list[int] = []
    for part in memory.parts:
        tensors += part.tensors
        tensors += _tensors_in_parts(part)
    return tensors


def _address(tensor: Tensor) -> int:
    """Return the address of a tensor's storage."""
    return tensor.untyped_storage().data_ptr()
