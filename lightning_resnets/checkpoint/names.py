"""Which names the pickle in a checkpoint may call on, read off its opcodes before anything of it is run.

torch's own `weights_only` allows more than weights need, `bytearray` of any length among it: a file of 400 bytes could
ask for all memory. Here a name that no checkpoint needs refuses the file.
"""

import pickletools
import zipfile
from pathlib import Path

from lightning_resnets.checkpoint.card import CheckpointError

LARGEST = 64 * 2**20  # bytes of pickled structure; weights lie beside it
ALLOWED = {
    "collections": {"OrderedDict", "Counter"},
    "torch._utils": {"_rebuild_tensor_v2", "_rebuild_parameter", "_rebuild_sparse_tensor"},
    "torch.serialization": {"_get_layout"},
    "torch.storage": {"UntypedStorage"},
    "builtins": {"complex", "set"},
    "__builtin__": {"complex", "set"},
}


def check_pickle(path: Path) -> None:
    """Raises CheckpointError where a checkpoint's pickle names anything but tensors and plain containers."""
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = (item for item in archive.infolist() if item.filename.endswith("/data.pkl"))
            if member.file_size > LARGEST:
                raise ValueError
            named = _named(archive.read(member))
    except Exception:  # noqa: BLE001 - whatever a hostile file provokes ends as a sentence
        raise CheckpointError(f"'{path.name}' is damaged or no checkpoint of PyTorch: copy or save it again.") from None
    if foreign := sorted(name for name in named if not _allowed(name)):
        raise CheckpointError(
            f"'{path.name}' holds program code beside its weights ({foreign[0][:60]}) and was not opened; nothing of "
            "it was run: save only weights and plain values."
        )


def _named(pickled: bytes) -> set[str]:
    """Every `module name` that the pickle would look up; the opcode that takes them off the stack counts as foreign."""
    found = set[str]()
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("GLOBAL", "INST"):
            found.add(str(argument))
        elif opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            found.add("a hidden name")
    return found


def _allowed(name: str) -> bool:
    module, _, attribute = name.partition(" ")
    return attribute in ALLOWED.get(module, ()) or (module == "torch" and attribute.isidentifier())
