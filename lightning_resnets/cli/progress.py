"""Progress bars on standard error; nothing is printed where it is not a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm


@contextmanager
def evaluation_progress() -> Iterator[Callable[[int, int, int], None]]:
    """Show the number of images and the accuracy so far.

    Yields:
        A progress callback of `evaluate`: images done, correct ones, and all images.
    """
    with _progress_bar("images") as bar:

        def update(done: int, correct: int, total: int) -> None:
            """Show the accuracy and move the bar, redrawing it once.

            Args:
                done: number of images done.
                correct: number of correct ones.
                total: number of all images.
            """
            bar.set_postfix_str(f"{correct / done:.2%} correct", refresh=False)
            _move_to(bar, done, total)

        yield update


@contextmanager
def analysis_progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show the number of steps of an analysis.

    Args:
        name: name of the analysis.

    Yields:
        A progress callback of `run_analysis`: steps done, and all steps.
    """
    with _progress_bar(name) as bar:
        yield lambda done, total: _move_to(bar, done, total)


def _progress_bar(label: str) -> "tqdm[Any]":
    """Make a bar that redraws at every update and is erased at the end."""
    return tqdm(
        desc=label,
        total=0,
        # None turns the bar off unless standard error is a terminal.
        disable=None,
        leave=False,
        # Updates are rare (one per batch), so none needs to be left out.
        mininterval=0,
        miniters=1,
        dynamic_ncols=True,
    )


def _move_to(bar: "tqdm[Any]", done: int, total: int) -> None:
    """Set the bar to `done` of `total`."""
    # An analysis with several parts starts again at 0 with another total.
    bar.total = total
    bar.update(done - bar.n)
