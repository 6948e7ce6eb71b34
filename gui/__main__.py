"""`python -m gui` and `lightning-resnets-gui`."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

GUI_PACKAGES = ("PySide6", "pyqtgraph")


def main(argv: Sequence[str] | None = None) -> int:
    """Open the app.

    Args:
        argv: command-line arguments; None for those of the process.

    Returns:
        The exit status.
    """
    # Some are imported only once the window stands.
    missing = [name for name in GUI_PACKAGES if find_spec(name) is None]
    if missing:
        print(
            f"lightning-resnets-gui: missing packages ({', '.join(missing)}). "
            "Run pip install 'lightning-resnets[gui]'.",
            file=sys.stderr,
        )
        return 1
    from gui.app import main as run

    return run(argv)


if __name__ == "__main__":
    sys.exit(main())
