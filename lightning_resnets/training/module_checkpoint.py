"""Load an `ImageClassifier`, or a subclass of it, from a checkpoint without running its code."""

import inspect
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import lightning as L
import torch
import yaml
from lightning.pytorch.core.saving import load_hparams_from_tags_csv
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor

from lightning_resnets.checkpoint.load import load_checkpoint
from lightning_resnets.errors import CheckpointError, CheckpointWarning, CustomModelError
from lightning_resnets.formats.read import CheckpointContents, read_checkpoint
from lightning_resnets.models.pretrained_weights import resolve_model_kwargs

ModuleT = TypeVar("ModuleT", bound=L.LightningModule)

MapLocation = torch.device | str | Mapping[str, str] | Callable[..., Any] | None

# Entries by which a file would choose the code that builds the module.
CODE_ENTRIES = {"_instantiator", "_class_path"}

# Kind of a weight that does not match, as it stands in a message.
RESHAPED = "of another shape"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The user's arguments of `load_from_checkpoint`.

    Attributes:
        map_location: device of the module, as in `torch.load`.
        hparams_file: YAML or CSV file that replaces the file's hyperparameters.
        strict: True: every weight must match. False: load what matches. None: as
            `LightningModule.strict_loading` says.
        overrides: hyperparameters that replace those of the file.
    """

    map_location: MapLocation
    hparams_file: str | Path | None
    strict: bool | None
    overrides: dict[str, Any]


def load_module(cls: type[ModuleT], path: Path, options: LoadOptions) -> ModuleT:
    """Build a module from its hyperparameters and load its weights.

    Args:
        cls: class of the module.
        path: a checkpoint, or a file of weights, whose hyperparameters are then the defaults.
        options: the user's arguments.

    Returns:
        The module in training mode.

    Raises:
        CheckpointError: the file cannot be read or does not match the module.
    """
    checkpoint = _read_any_checkpoint(path, options.overrides.get("arch"))
    if options.hparams_file is not None:
        checkpoint["hyper_parameters"] = read_hparams_file(Path(options.hparams_file))
    module = cls(**_init_arguments(cls, checkpoint["hyper_parameters"], path, options.overrides))
    # Lightning calls this hook only in a run, but it may build layers that have weights.
    if is_overridden("configure_model", module):
        module.configure_model()
    # Before the weights, as in Lightning: the hook may change them.
    module.on_load_checkpoint(checkpoint)
    _load_weights(module, checkpoint, path, options)
    return module.to(resolve_device(options.map_location))


def _read_any_checkpoint(path: Path, arch: str | None) -> dict[str, Any]:
    """Return the content of any file in the form of a checkpoint of Lightning."""
    contents = read_checkpoint(path)
    saved = contents.metadata.get("hyper_parameters")
    # Lightning's checkpoints of other modules have no `arch`, from which to build the model.
    if contents.wrapper == "state_dict" and isinstance(saved, dict) and "arch" in saved:
        return _read_own_checkpoint(path, contents)
    return _convert_other_checkpoint(path, contents, arch)


def _read_own_checkpoint(path: Path, contents: CheckpointContents) -> dict[str, Any]:
    """Return the whole content of a checkpoint of Lightning."""
    try:
        # `read_checkpoint` has checked the file, but keeps only weights and plain values.
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    # States of callbacks may be objects; weights and plain values were read without them.
    except pickle.UnpicklingError:
        checkpoint = {**contents.metadata, "state_dict": contents.state_dict}
    saved = checkpoint["hyper_parameters"]
    saved = {name: value for name, value in saved.items() if name not in CODE_ENTRIES}
    # Published weights are not downloaded again, only to be overwritten.
    model_kwargs = resolve_model_kwargs(saved["arch"], saved.get("model_kwargs") or {})
    saved["model_kwargs"] = model_kwargs or None
    return checkpoint | {"hyper_parameters": saved}


def _convert_other_checkpoint(
    path: Path, contents: CheckpointContents, arch: str | None
) -> dict[str, Any]:
    """Return the content of a file of weights in the form of a checkpoint of Lightning."""
    loaded = load_checkpoint(path, arch)
    saved = contents.metadata.get("hyper_parameters")
    if not isinstance(saved, dict):
        saved = {}
    # The model is an attribute of the module, which is part of the names of its weights.
    state = {f"model.{name}": weight for name, weight in loaded.model.state_dict().items()}
    model = {
        "arch": loaded.card.arch,
        "num_classes": len(loaded.card.class_names),
        "model_kwargs": loaded.card.model_kwargs or None,
    }
    return {**contents.metadata, "hyper_parameters": saved | model, "state_dict": state}


def read_hparams_file(path: Path) -> dict[str, Any]:
    """Read hyperparameters, as Lightning's loggers write them.

    Args:
        path: a YAML or CSV file.

    Returns:
        Values by name.

    Raises:
        CheckpointError: the file is missing, of another type, or holds more than plain values.
    """
    try:
        if path.suffix.lower() == ".csv":
            return dict(load_hparams_from_tags_csv(path))
        if path.suffix.lower() in (".yml", ".yaml"):
            # safe_load builds plain values only, never objects.
            return dict(yaml.safe_load(path.read_text()))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"Cannot read the hyperparameters in '{path}' ({reason}). Use the hparams.yaml that "
            "Lightning writes."
        ) from error
    raise CheckpointError(f"hparams_file must be a .yaml, .yml or .csv file, got '{path}'.")


def _init_arguments(
    cls: type, saved: Mapping[str, Any], path: Path, overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the arguments of the class: the saved ones that it takes, and the user's."""
    parameters = inspect.signature(cls.__init__).parameters
    # A subclass may take fewer arguments than are saved.
    takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    arguments = dict(saved)
    if not takes_all:
        arguments = {name: value for name, value in saved.items() if name in parameters}
    arguments |= overrides
    arch = arguments.get("arch")
    # The code of a custom model runs only if the user names it.
    if isinstance(arch, str) and ":" in arch and overrides.get("arch") != arch:
        raise CustomModelError(path.name, arch)
    return arguments


def _load_weights(
    module: L.LightningModule, checkpoint: Mapping[str, Any], path: Path, options: LoadOptions
) -> None:
    """Load the weights; a classifier of another number of classes stays untrained."""
    state = dict[str, Tensor](checkpoint["state_dict"])
    own = module.state_dict()
    strict = module.strict_loading if options.strict is None else options.strict
    untrained = set[str]()
    # With strict=True every weight must match, also those of the classifier.
    if "num_classes" in options.overrides and options.strict is not True:
        sizes = (checkpoint["hyper_parameters"].get("num_classes"), module.hparams["num_classes"])
        untrained = _find_resized(state, own, sizes)
    state = {name: weight for name, weight in state.items() if name not in untrained}
    expected = {name: weight for name, weight in own.items() if name not in untrained}
    kinds = _find_mismatches(state, expected)
    message = _describe_mismatch(path.name, type(module).__name__, kinds)
    # torch raises for another shape even if it is not strict.
    if message and (strict or kinds[RESHAPED]):
        raise CheckpointError(message)
    if message:
        # stacklevel 4 points to the caller of load_from_checkpoint.
        warnings.warn(message, CheckpointWarning, stacklevel=4)
    # Mismatches were reported above, with the name of the file.
    module.load_state_dict(state, strict=False)


def is_resized(old: torch.Size, new: torch.Size, num_classes: tuple[object, object]) -> bool:
    """Return whether a weight belongs to a classifier with another number of classes.

    Args:
        old: shape in the file.
        new: shape in the module.
        num_classes: number of classes in the file and in the module.

    Returns:
        True if the shapes differ only in their first dimension, the classes.
    """
    if old == new or not old or len(old) != len(new):
        return False
    return (old[0], new[0]) == num_classes and old[1:] == new[1:]


def _find_resized(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], num_classes: tuple[object, object]
) -> set[str]:
    """Return the names of the weights that belong to a classifier of another size."""
    return {
        name
        for name in state.keys() & own.keys()
        if is_resized(state[name].shape, own[name].shape, num_classes)
    }


def _find_mismatches(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, list[str]]:
    """Return the names of the weights that do not match, by what is wrong with them."""
    shared = [name for name in expected if name in state]
    return {
        "missing": [name for name in expected if name not in state],
        "unexpected": [name for name in state if name not in expected],
        RESHAPED: [name for name in shared if state[name].shape != expected[name].shape],
    }


def _describe_mismatch(file: str, module: str, kinds: Mapping[str, list[str]]) -> str:
    """Describe the weights that do not match; "" if all do."""
    parts = [f"{len(names)} {kind} ({names[0]})" for kind, names in kinds.items() if names]
    if not parts:
        return ""
    hint = "Pass strict=False to load the weights that match."
    if kinds[RESHAPED]:
        hint = "Pass the hyperparameters that the weights were trained with."
    return f"The weights in '{file}' do not match {module}: {', '.join(parts)}. {hint}"


def resolve_device(map_location: MapLocation) -> torch.device:
    """Return the device that `torch.load` would choose for a tensor saved on the CPU.

    Args:
        map_location: as in `torch.load`.

    Returns:
        The device; the CPU for None.
    """
    if map_location is None:
        return torch.device("cpu")
    if isinstance(map_location, Mapping):
        return torch.device(map_location.get("cpu", "cpu"))
    if callable(map_location):
        storage = torch.zeros(1).untyped_storage()
        moved = map_location(storage, "cpu")
        # For torch.load, None means to leave the tensor there.
        if moved is None:
            return storage.device
        return moved.device
    return torch.device(map_location)
