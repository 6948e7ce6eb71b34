"""`python -m gui` and `lightning-resnets-gui`."""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Open the app; returns the exit status."""
    from gui.app import main as run

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
