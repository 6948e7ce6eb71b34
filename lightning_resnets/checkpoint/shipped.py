"""The trained nets that ship: found by name in a checkout and in an installed wheel alike."""

from difflib import get_close_matches
from pathlib import Path

from lightning_resnets.checkpoint.card import CheckpointError

SUFFIXES = (".ckpt", ".safetensors")
PACKAGE = Path(__file__).resolve().parents[1]


def folder() -> Path:
    """Where the shipped nets lie: `checkpoints/` of the checkout, else `shipped/` inside the package."""
    root = PACKAGE.parent
    if (root / "pyproject.toml").is_file() and (root / "checkpoints").is_dir():
        return root / "checkpoints"
    return PACKAGE / "shipped"


def shipped() -> dict[str, Path]:
    """Every net that ships by its name (the file's name without its ending), sorted; empty where none is there."""
    files = sorted(path for path in folder().glob("*") if path.suffix in SUFFIXES and path.is_file())
    return {path.stem: path for path in files}


def find(name: str | Path) -> Path:
    """The file of a shipped net (`resnet20-cifar10`, or `resnet20` where only one begins so), or the path given.

    A name without a folder or an ending is looked for among the shipped nets first. Raises CheckpointError where there
    is neither such a net nor such a file.
    """
    nets, text = shipped(), str(name)
    if isinstance(name, str) and (file := nets.get(text) or _only(text, nets)):
        return file
    path = Path(name).expanduser()
    if path.exists():
        return path
    near = get_close_matches(path.stem, nets, n=3, cutoff=0.5) or list(nets)
    listed = f" (the nets that ship: {', '.join(near)})" if near else ""
    raise CheckpointError(f"There is no file and no shipped net called '{text}': check the name{listed}.")


def _only(name: str, nets: dict[str, Path]) -> Path | None:
    found = [file for net, file in nets.items() if net.startswith(f"{name}-")]
    return found[0] if len(found) == 1 else None
