"""Bound the work spent on a file's structure: shared parts make a small file arbitrarily deep."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.source import TOO_COMPLEX

# A pickle within our limits has at most 350,000 entries; each is visited once or twice.
MAX_VISITS = 1_000_000

T = TypeVar("T")


class VisitBudget:
    """Number of entries that may still be visited, shared by all that walk one file's structure.

    An entry that is skipped counts too.
    """

    def __init__(self, left: int = MAX_VISITS) -> None:
        self.left = left

    def charge(self, visits: int = 1) -> None:
        """Spend visits.

        Args:
            visits: number of entries.

        Raises:
            UnsupportedFileError: the budget is used up.
        """
        self.left -= visits
        if self.left < 0:
            raise UnsupportedFileError(TOO_COMPLEX)

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
            self.charge()
            yield item
