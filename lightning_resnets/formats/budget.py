"""Bound the work and the memory that reading one checkpoint takes, whatever its file contains.

A small file may describe a huge value: parts may be shared, repeated, compressed or merely
claimed. Everything that reads a file charges the one budget of that file, before it does the work.
"""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any, TypeVar

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.source import TOO_COMPLEX

# ResNet-152 takes 30,000 objects, ResNet-1202 with Adam's state some 650,000.
MAX_OBJECTS = 700_000
# A pickle within our limits has at most 350,000 entries; each is visited once or twice.
MAX_VISITS = 1_000_000
# In addition to what a file's own size allows.
FREE_BYTES = 80 * 2**20
# A text is passed to a call without a copy, so a page of it costs no more than a number.
PAGE_BYTES = 4096

T = TypeVar("T")


@dataclass(slots=True)
class Budget:
    """Work and memory that reading one checkpoint may still take.

    Attributes:
        objects: objects that may still be made; one takes about 100 bytes.
        visits: entries that may still be visited, by all that walk the structure.
        memory: bytes that may still be taken, by texts, unpacked arrays and tensors.
        views: bytes that different views of the tensors may still cover. Later conversions may
            copy each view, and views of one storage may overlap.
    """

    objects: int = MAX_OBJECTS
    visits: int = MAX_VISITS
    memory: int = FREE_BYTES
    views: int = FREE_BYTES

    @classmethod
    def for_file(cls, nbytes: int) -> "Budget":
        """Return the budget of a file.

        Args:
            nbytes: size of the file, or of all files that one checkpoint consists of.

        Returns:
            A budget whose memory is twice the file: its bytes and the tensors made of them.
        """
        return cls(memory=2 * nbytes + FREE_BYTES, views=nbytes + FREE_BYTES)

    def create(self, count: int = 1) -> None:
        """Spend objects.

        Args:
            count: number of objects.

        Raises:
            UnsupportedFileError: the budget is used up.
        """
        self.objects -= count
        _check(self.objects)

    def visit(self, count: int = 1) -> None:
        """Spend visits; an entry that is skipped counts too.

        Args:
            count: number of entries.

        Raises:
            UnsupportedFileError: the budget is used up.
        """
        self.visits -= count
        _check(self.visits)

    def allocate(self, nbytes: int) -> None:
        """Spend memory.

        Args:
            nbytes: bytes that are about to be taken.

        Raises:
            UnsupportedFileError: the budget is used up.
        """
        self.memory -= nbytes
        _check(self.memory)

    def cover(self, nbytes: int) -> None:
        """Spend bytes of views.

        Args:
            nbytes: bytes of one view, whether another view covers them too or not.

        Raises:
            UnsupportedFileError: the budget is used up.
        """
        self.views -= nbytes
        _check(self.views)

    def iterate(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items and spend one visit for each.

        Args:
            items: anything iterable.

        Yields:
            The items in order.

        Raises:
            UnsupportedFileError: the budget is used up.
        """
        for item in items:
            # Before the item is handled: hostile containers may be shared many times.
            self.visit()
            yield item

    def handle(self, value: Any) -> None:
        """Spend the objects that a call may take to handle one argument.

        Args:
            value: the argument; its length is what counts, whatever its type.

        Raises:
            UnsupportedFileError: the budget is used up.
        """
        if isinstance(value, (str, bytes, bytearray)):
            # A text is not copied item by item, as a container may be.
            self.create(len(value) // PAGE_BYTES)
        elif isinstance(value, Sized):
            self.create(len(value))


def _check(left: int) -> None:
    """Raise if a part of the budget is used up."""
    if left < 0:
        raise UnsupportedFileError(TOO_COMPLEX)
