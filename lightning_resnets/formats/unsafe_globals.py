"""Recognize the global names that only an attack has in a pickle.

Such a name refuses the whole file: it does no harm in this reader, but the user might open the file
with another one.
"""

from typing import Any

from lightning_resnets.errors import UnsupportedFileError
from lightning_resnets.formats.pickled_objects import GlobalName

MAX_NAME = 200  # characters of a module or name

OS_MODULES = "os posix nt subprocess pty shutil socket commands popen2 sys platform"
CODE_RUNNING_MODULES = (
    "runpy importlib imp pkgutil marshal pickle _pickle cPickle dill code codeop timeit pdb bdb "
    "cProfile profile trace"
)
OTHER_UNSAFE_MODULES = (
    "ctypes webbrowser asyncio multiprocessing _posixsubprocess pip ensurepip urllib requests "
    "http ftplib tempfile torch.hub torch.utils.cpp_extension doctest pydoc signal"
)
UNSAFE_MODULES = frozenset(f"{OS_MODULES} {CODE_RUNNING_MODULES} {OTHER_UNSAFE_MODULES}".split())
UNSAFE_BUILTIN_NAMES = (
    "eval exec execfile compile open file input raw_input __import__ breakpoint globals locals "
    "vars setattr apply delattr exit quit"
)
# Attributes reached by a dotted name, as in `some.module` and `Class.system`.
UNSAFE_ATTRIBUTE_NAMES = (
    "system popen Popen eval exec execfile __import__ import_module __globals__ __builtins__ load"
)
UNSAFE_BUILTINS = frozenset(UNSAFE_BUILTIN_NAMES.split())
UNSAFE_ATTRIBUTES = frozenset(UNSAFE_ATTRIBUTE_NAMES.split())


def resolve_global(module: Any, name: Any) -> GlobalName:
    """Return a global name as a record.

    Args:
        module: module as the pickle names it.
        name: attribute of the module, dots allowed.

    Returns:
        The record.

    Raises:
        TypeError: one of them is not text.
        UnsupportedFileError: only an attack has such a name.
    """
    if not isinstance(module, str) or not isinstance(name, str):
        raise TypeError
    module = module[:MAX_NAME]
    name = name[:MAX_NAME]
    if _is_unsafe(module, name):
        # `posix` and `nt` are what `os` is called inside a pickle.
        shown = "os" if module in ("posix", "nt") else module
        raise program_code_error(GlobalName(shown, name))
    return GlobalName(module, name)


def _is_unsafe(module: str, name: str) -> bool:
    """Return True for a name that runs code or touches the system."""
    # A submodule is as unsafe as its package.
    root = module.split(".")[0]
    if root in UNSAFE_MODULES or module in UNSAFE_MODULES:
        return True
    if root in ("builtins", "__builtin__") and name in UNSAFE_BUILTINS:
        return True
    if "." in name and not UNSAFE_ATTRIBUTES.isdisjoint(name.split(".")):
        return True
    return root == "torch" and name == "load"


def program_code_error(name: GlobalName) -> UnsupportedFileError:
    """Return the error for a file that would run code.

    Args:
        name: the function that it names.
    """
    return UnsupportedFileError(
        f"contains program code beside its weights ({name}) and was not loaded. Nothing was "
        "executed. Get the weights as safetensors, or save only tensors and plain values."
    )
