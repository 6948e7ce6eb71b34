"""How much of a file's structure may be looked at: shared parts make a small file as wide and deep as it likes."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.source import TOO_COMPLEX

MAX_VISITS = 1_000_000  # entries; a file's pickle makes at most 350,000, honest ones are looked at once or twice

T = TypeVar("T")


class VisitBudget:
    """Looks that are left, for all that walks one file's structure; an entry that is passed over is a look too."""

    def __init__(self, left: int = MAX_VISITS) -> None:
        self.left = left

    def charge(self, looks: int = 1) -> None:
        """Raises Refused where none are left."""
        self.left -= looks
        if self.left < 0:
            raise UnsupportedFileError(TOO_COMPLEX)

    def iterate(self, items: Iterable[T]) -> Iterator[T]:
        """The items, one look each."""
        for item in items:
            self.charge()
            yield item
