"""Ways through a diagram by keyboard, and which skip a selected block means: pure."""

from collections.abc import Sequence

from gui.state import Diagram, SkipLine, short

NETS = (".ckpt", ".safetensors", ".pth", ".pt", ".th", ".bin", ".npz", ".pkl", ".pdparams", ".tar")


def step(diagram: Diagram, name: str | None, by: int) -> str | None:
    """The next block in order of execution; from nowhere, the first or the last."""
    names = [node.name for node in diagram.nodes]
    if not names:
        return None
    if name not in names:
        return names[0 if by > 0 else -1]
    return names[min(max(names.index(name) + by, 0), len(names) - 1)]


def source(diagram: Diagram, name: str | None) -> str | None:
    """Where the skip that ends here (or goes around this block) forks off."""
    skip = skip_at(diagram, name)
    return skip.source if skip else None


def skip_at(diagram: Diagram, name: str | None) -> SkipLine | None:
    """The skip that ends at a merge; for a block that runs into a merge, the skip that goes around it."""
    ending = next((skip for skip in diagram.skips if skip.merge == name), None)
    if ending:
        return ending
    into = [link.target for link in diagram.links if link.source == name]
    return next((skip for skip in diagram.skips if skip.merge in into and skip.source != name), None)


def landing(diagram: Diagram) -> str | None:
    """The block to show first: a gate if there is one, else the second merge of a skip, else the first block."""
    gate = next((skip.merge for skip in diagram.skips if skip.kind == "gate"), None)
    merges = list(dict.fromkeys(skip.merge for skip in diagram.skips))
    inner = [node.name for node in diagram.nodes if node.kind == "block"]
    return gate or next(iter(merges[1:2] or merges or inner), None)


def title(skip: SkipLine | None, merge: str) -> str:
    """A skip in words: from where to where, and how it is made to fit."""
    if skip is None:
        return short(merge)
    fit = f" ({skip.projected})" if skip.projected else ""
    return f"{short(skip.source)} → {short(skip.merge)}{fit}"


def parted(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Paths of nets, told by their endings, and all the others."""
    nets = [path for path in paths if path.lower().endswith(NETS)]
    return nets, [path for path in paths if path not in nets]
