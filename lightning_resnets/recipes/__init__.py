"""Bundled training recipes: one YAML file per model and dataset."""

from pathlib import Path


def list_recipes() -> dict[str, Path]:
    """Return the file of every bundled recipe by its name, sorted."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}
