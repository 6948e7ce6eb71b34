"""What dropping a block means: its branches are cut where they meet an Add, or what it made counts as zero."""

from contextlib import suppress

from torch import fx, nn

from lightning_resnets.merge import Add, Concat, Merge
from lightning_resnets.points import PointError, called, some, submodule
from lightning_resnets.surgery.edits import Drop, Keep, Op, Scale, SurgeryError
from lightning_resnets.surgery.sources import Origins, Part, layers, origins, read_at

LISTED = 6  # names that a sentence lists


def dropped(model: nn.Module, op: Drop, table: Origins | None) -> list[Op]:
    """Every branch of the block cut; where it has none, every dense layer's output zero."""
    block, known = submodule(model, op.block), revealed(model)
    adds = [f"{op.block}.{n}" if n else op.block for n, module in block.named_modules() if isinstance(module, Add)]
    if adds and not known:
        return [Scale(add, 1, 0.0) for add in adds]
    if adds or any(isinstance(module, Concat) for module in model.modules()):
        table = table or origins(model)
        if found := _branches(model, adds, table) or _parts(model, op.block, table):
            return found
    if adds:
        raise SurgeryError(f"'{op.block}' has no shortcut to leave: {_even(table, adds[0])}.")
    raise SurgeryError(
        f"'{op.block}' holds no add, so there is no branch to drop, and no dense layer: name a residual block, or "
        f"a layer whose output is concatenated with what it was made of ({listed(model)})."
    )


def _branches(model: nn.Module, adds: list[str], table: Origins) -> list[Op]:
    """The branch of each Add that has a shortcut cut."""
    known = {add: table.shortcuts.get(_path(model, add)) for add in adds}
    return [Scale(add, 1 - shortcut, 0.0) for add, shortcut in known.items() if shortcut is not None]


def _parts(model: nn.Module, block: str, table: Origins) -> list[Op]:
    """The dense layers of a block gone: each where it ends, or where no module ends it, wherever it meets others."""
    return [op for part in layers(table.parts, block) for op in _gone(model, part, table)]


def _gone(model: nn.Module, part: Part, table: Origins) -> list[Op]:
    if part.module:
        with suppress(PointError):
            called(model, part.module)
            return [Keep(part.module, ())]
    if not part.alone:
        raise SurgeryError(f"'{part.names[0]}' cannot be dropped: no module ends it, and not only concats read it.")
    return [Scale(concat, number, 0.0) for concat, number in read_at(table.parts, part)]


def revealed(model: nn.Module) -> bool:
    """Whether the operands of a net's Adds are in the order of the foreign net, and not named by who wrote it."""
    return isinstance(model, fx.GraphModule) and "followed" in model.meta


def shortcut(model: nn.Module, add: str, table: Origins | None) -> int:
    """The number of the operand of a revealed net's Add that is the shortcut; raises SurgeryError where none is."""
    table = table or origins(model)
    found = table.shortcuts.get(_path(model, add))
    if found is None:
        raise SurgeryError(f"'{add}' has no shortcut: {_even(table, _path(model, add))}; name one by its number.")
    return found


def _even(table: Origins | None, add: str) -> str:
    """What meets where nothing is a shortcut."""
    given = table.met.get(add, ()) if table else ()
    sides = [f"{one} (operand {i})" for i, one in enumerate(given)] or ["two branches"]
    return f"what meets at '{add}' are even branches, {' and '.join(sides)}"


def _path(model: nn.Module, name: str) -> str:
    """The first name of a module, which its calls go by."""
    module = submodule(model, name)
    return next(path for path, one in model.named_modules() if one is module)


def listed(model: nn.Module) -> str:
    """The first few merges that a net has, as a sentence goes on."""
    names = [name for name, module in model.named_modules() if isinstance(module, Merge)]
    if not names:
        return "this net has none that is named (`reveal` names those of a foreign net)"
    return f"this net has {some(names, LISTED)}"
