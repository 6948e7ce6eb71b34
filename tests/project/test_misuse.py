"""Every public function answers each wrong argument with one error of ours.

Each argument in turn is None, of a wrong type, 0, negative, NaN, empty and too large. No call may
be accepted in silence or fail inside torch.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lightning_resnets
from lightning_resnets import (
    BypassBlock,
    InteractiveModel,
    KeepChannels,
    ModelGraph,
    RemoveBlock,
    ScaleInput,
    SetInput,
    SwapBlocks,
    ZeroChannels,
    create_model,
    insert_merges,
    intervene,
    record_activations,
    sweep,
    trace,
)
from lightning_resnets.checkpoint.bundled import bundled_checkpoints, resolve_checkpoint
from lightning_resnets.checkpoint.inspect import inspect_checkpoint
from lightning_resnets.checkpoint.load import load_checkpoint, load_model, read_card
from lightning_resnets.errors import InterventionError
from lightning_resnets.evaluation import evaluate
from lightning_resnets.preprocessing import preprocess, read_image
from tests.helpers.misuse import (
    EMPTY,
    LARGE,
    NAN,
    NEGATIVE,
    NONE,
    ZERO,
    Misuse,
    find_wrong_answers,
)

NUMBER = (ZERO, NEGATIVE, LARGE)
COUNT = (ZERO, LARGE)


@functools.cache
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return create_model("resnet20").eval()


@functools.cache
def interactive() -> InteractiveModel:
    return InteractiveModel.open("resnet20")


def images() -> torch.Tensor:
    return torch.randn(2, 3, 32, 32)


def pixels() -> np.ndarray:
    return np.zeros((32, 32, 3), np.uint8)


def run_with(intervention: Any) -> None:
    """Apply an intervention and run the model."""
    with intervene(model(), intervention):
        model()(images())


def edit(kind: Callable[..., Any]) -> Callable[..., None]:
    """Return a function that makes an intervention and uses it."""
    return lambda **arguments: run_with(kind(**arguments))


def intervention_cases() -> list[Misuse]:
    add = "layer1.0.add"
    block = "layer1.1"
    return [
        Misuse(
            "ScaleInput",
            edit(ScaleInput),
            {"merge": add, "operand": 0, "factor": 0.5},
            {"operand": (ZERO,), "factor": NUMBER},
        ),
        Misuse(
            "SetInput",
            edit(SetInput),
            {"merge": add, "operand": "branch", "value": 0.0, "channels": [0]},
            {"operand": (ZERO,), "value": NUMBER, "channels": (NONE, ZERO, EMPTY)},
        ),
        Misuse("RemoveBlock", edit(RemoveBlock), {"block": block}),
        Misuse("BypassBlock", edit(BypassBlock), {"hook_point": block}),
        Misuse("SwapBlocks", edit(SwapBlocks), {"first": block, "second": "layer1.2"}),
        Misuse(
            "ZeroChannels",
            edit(ZeroChannels),
            {"hook_point": block, "channels": [0, 1]},
            {"channels": (ZERO, EMPTY)},
        ),
        Misuse(
            "KeepChannels",
            edit(KeepChannels),
            {"hook_point": block, "channels": [0, 1]},
            {"channels": (ZERO, EMPTY)},
        ),
    ]


def run_intervene(**arguments: Any) -> None:
    with intervene(arguments["model"], arguments["interventions"]):
        pass


def run_record(**arguments: Any) -> None:
    with record_activations(**arguments):
        model()(images())


def running_cases() -> list[Misuse]:
    drop = RemoveBlock("layer1.1")
    return [
        Misuse(
            "intervene",
            run_intervene,
            {"model": model(), "interventions": [drop]},
            {"interventions": (EMPTY,)},
        ),
        Misuse("record_activations", run_record, {"model": model(), "hook_points": "layer1.0"}),
        Misuse(
            "record_activations of several",
            run_record,
            {"model": model(), "hook_points": ["layer1.0", "fc"]},
        ),
        Misuse(
            "sweep",
            lambda **arguments: list(sweep(**arguments)),
            {"model": model(), "images": images(), "items": [drop], "traced": None},
            {"traced": (NONE,), "images": (NAN,), "items": (EMPTY,)},
        ),
        Misuse("trace", trace, {"model": model(), "input_size": (3, 32, 32)}),
        Misuse(
            "insert_merges",
            insert_merges,
            {"model": model(), "input_size": (3, 32, 32), "backend": "torch.fx"},
            {"backend": (NONE,)},
        ),
    ]


FAMILIES: dict[str, dict[str, Any]] = {
    "resnet20": {
        "stem": "cifar",
        "stem_pool": "none",
        "zero_init_last": False,
        "stem_width": 16,
        "stem_kernel": 3,
        "stem_stride": 1,
        "in_channels": 3,
        "first_width": 16,
        "output_stride": 4,
        "head_widths": (8,),
        "dropout": 0.1,
        "shortcut_type": "A",
        "se_reduction": 4,
        "se_placement": "standard",
        "se_bias": True,
        "se_pool": "mean",
        "se_divisor": 1,
        "se_pre_relu": False,
    },
    "resnet50": {"groups": 1, "base_width": 64, "stride_in": "1x1", "shortcut_type": "B"},
    "preresnet20": {
        "widen_factor": 1,
        "share_first": True,
        "stem_norm": False,
        "last_norm": True,
        "dropout": 0.1,
        "shortcut_type": "B",
    },
    "densenet_bc_40_12": {
        "growth_rate": 4,
        "stem_width": 8,
        "stem": "cifar",
        "bottleneck_factor": 4,
        "compression": 0.5,
        "dropout": 0.1,
        "memory_efficient": False,
    },
    "highway19": {"gate_bias": -2.0, "dropout": 0.1},
}


def model_cases() -> list[Misuse]:
    # One model of each family, with all options that it has.
    zero_is_off = ("dropout", "se_reduction", "bottleneck_factor")
    optional = ("stem_width", "first_width", "stem_kernel", "stem_stride", "stem_pool")
    cases = list[Misuse]()
    for name, options in FAMILIES.items():
        accepts: dict[str, tuple[str, ...]] = {
            **dict.fromkeys(zero_is_off, (ZERO,)),
            **dict.fromkeys((*optional, "output_stride"), (NONE,)),
            "num_classes": (NONE, ZERO),
            "gate_bias": (ZERO, NEGATIVE),
            "head_widths": (EMPTY,),
        }
        if name == "densenet_bc_40_12":
            accepts["stem_width"] = ()
        arguments = {"name": name, "num_classes": 10, "pretrained": False, **options}
        cases.append(Misuse(f"create_model {name}", create_model, arguments, accepts))
    return cases


def interactive_cases() -> list[Misuse]:
    looking = interactive()
    common = {"image": pixels(), "hook_points": ["layer1.0"], "interventions": []}
    return [
        Misuse(
            "InteractiveModel.open",
            InteractiveModel.open,
            {"name": "resnet20", "model": None},
            {"model": (NONE,)},
        ),
        Misuse(
            "InteractiveModel.run",
            looking.run,
            common,
            {"hook_points": (EMPTY,), "interventions": (EMPTY,)},
        ),
        Misuse(
            "InteractiveModel.gradients",
            looking.gradients,
            {**common, "class_index": 3},
            {
                "interventions": (EMPTY,),
                "class_index": (NONE, ZERO),
            },
        ),
        Misuse(
            "InteractiveModel.early_predictions",
            looking.early_predictions,
            common,
            {"hook_points": (EMPTY,), "interventions": (EMPTY,)},
        ),
    ]


def checkpoint_cases() -> list[Misuse]:
    path = str(next(iter(bundled_checkpoints().values())))
    options = {"model": (NONE,)}
    cases = [
        Misuse(function.__name__, function, {"path": path, "model": None}, options)
        for function in (load_model, load_checkpoint, read_card, inspect_checkpoint)
    ]
    cases.append(Misuse("resolve_checkpoint", resolve_checkpoint, {"name": "resnet20"}))
    loaded = load_checkpoint(path)
    cases.append(
        Misuse(
            "evaluate",
            evaluate,
            {
                "loaded": loaded,
                "dataset": "sample",
                "data_dir": Path("data"),
                "batch_size": 8,
                "num_images": 8,
                "num_workers": 1,
            },
            {"batch_size": (NONE, LARGE)},
            # All images of the sample would take half a minute.
            untried={"num_images": (NONE, LARGE)},
        )
    )
    return cases


def image_cases() -> list[Misuse]:
    return [
        Misuse("read_image", read_image, {"source": __file__.replace(".py", ".none")}),
        Misuse(
            "preprocess",
            preprocess,
            {
                "image": pixels(),
                "input_size": (3, 32, 32),
                "mean": (0.5,) * 3,
                "std": (0.5,) * 3,
                "channel_order": "RGB",
                "crop_pct": 0.9,
                "interpolation": "bilinear",
            },
        ),
    ]


def graph_cases() -> list[Misuse]:
    graph = trace(model())
    return [
        Misuse("ModelGraph.from_json", ModelGraph.from_json, {"text": "{}"}),
        Misuse(
            "ModelGraph.fold",
            graph.fold,
            {"depth": "block", "collapse_repeats": False},
            {"depth": (NONE,)},
        ),
    ]


def make_loaders(datamodule: Any) -> None:
    """Set up a datamodule and make its loaders."""
    datamodule.setup("fit")
    datamodule.train_dataloader()
    datamodule.test_dataloader()


IMAGENET_ARGUMENTS: dict[str, Any] = {
    "batch_size": 8,
    "num_val_images": 10,
    "train_image_size": 176,
    "eval_image_size": 224,
    "eval_crop_pct": 0.9,
    "min_crop_scale": 0.1,
    "auto_augment": "rand",
    "auto_augment_magnitude": 9,
    "random_erase_prob": 0.1,
    "mixup_alpha": 0.1,
    "cutmix_alpha": 0.1,
    "num_augment_repeats": 1,
    "eval_batch_size": 8,
    "seed": 0,
    "num_workers": 2,
    "skip_damaged_images": False,
}

IMAGENET_ACCEPTS: dict[str, tuple[str, ...]] = {
    "batch_size": (LARGE,),
    "eval_batch_size": (LARGE,),
    # Checked against the number of images.
    "num_val_images": (ZERO, LARGE),
    "auto_augment": (NONE,),
    "auto_augment_magnitude": (ZERO,),
    "random_erase_prob": (ZERO,),
    "mixup_alpha": (ZERO,),
    "cutmix_alpha": (ZERO,),
    "seed": (NONE, ZERO, LARGE),
    "num_workers": (NONE, ZERO),
}

CIFAR10_ARGUMENTS: dict[str, Any] = {
    "batch_size": 128,
    "num_val_images": 10,
    "crop_padding": 4,
    "horizontal_flip": True,
    "trivial_augment": False,
    "cutout": 4,
    "dual_cutout": False,
    "mixup_alpha": 0.2,
    "cutmix_alpha": 0.2,
    "eval_batch_size": 100,
    "seed": 3,
}

CIFAR10_ACCEPTS: dict[str, tuple[str, ...]] = {
    "num_val_images": (ZERO,),
    "crop_padding": (ZERO,),
    "cutout": (ZERO,),
    "mixup_alpha": (ZERO,),
    "cutmix_alpha": (ZERO,),
    "eval_batch_size": (LARGE,),
    "seed": (NONE, ZERO, LARGE),
}


def datamodule_cases() -> list[Misuse]:
    from lightning_resnets.data import CIFAR10Sample, ImageNet

    read = CIFAR10Sample().read()

    class CachedSample(CIFAR10Sample):
        def read(self) -> Any:
            return read

    return [
        Misuse(
            "CIFAR10Sample",
            lambda **given: make_loaders(CachedSample(**given)),
            CIFAR10_ARGUMENTS,
            CIFAR10_ACCEPTS,
        ),
        Misuse(
            "ImageNet",
            lambda **given: ImageNet(**given).validate_options(),
            IMAGENET_ARGUMENTS,
            IMAGENET_ACCEPTS,
        ),
    ]


CLASSIFIER_ARGUMENTS: dict[str, Any] = {
    "arch": "resnet20",
    "num_classes": 10,
    "model_kwargs": None,
    "lr": 0.4,
    "momentum": 0.9,
    "weight_decay": 0.0002,
    "label_smoothing": 0.1,
    "warmup_fraction": 0.2,
    "lr_schedule": "linear",
    "optimizer": "sgd",
    "loss": "cross_entropy",
    "consistency_weight": 0.0,
    "compile": False,
}

CLASSIFIER_ACCEPTS: dict[str, tuple[str, ...]] = {
    "model_kwargs": (NONE,),
    "momentum": (ZERO,),
    "weight_decay": (ZERO,),
    "label_smoothing": (ZERO,),
    "warmup_fraction": (ZERO,),
    "consistency_weight": (ZERO,),
}


def classifier_cases() -> list[Misuse]:
    from lightning_resnets.training.image_classifier import ImageClassifier

    return [Misuse("ImageClassifier", ImageClassifier, CLASSIFIER_ARGUMENTS, CLASSIFIER_ACCEPTS)]


GROUPS: dict[str, Callable[[], list[Misuse]]] = {
    "interventions": intervention_cases,
    "running": running_cases,
    "models": model_cases,
    "interactive": interactive_cases,
    "checkpoints": checkpoint_cases,
    "images": image_cases,
    "graph": graph_cases,
    "datamodules": datamodule_cases,
    "classifier": classifier_cases,
}
# Calls of one group that must be refused, at least; together many more than 131.
MIN_CALLS = 15

# Merges are modules whose arguments are tensors inside a model, and records that only `trace`
# makes; a Python enum and an exception have checks of their own.
NOT_TRIED = {
    "Add",
    "Concat",
    "Gate",
    "MergeKind",
    "ModelGraph",
    "SkipConnection",
    "UserError",
    "__version__",
    "list_models",
}


@pytest.mark.parametrize("group", GROUPS)
def test_every_wrong_argument_gets_one_message(group: str) -> None:
    wrong = list[str]()
    count = 0
    for case in GROUPS[group]():
        found, calls = find_wrong_answers(case)
        wrong += found
        count += calls
    assert not wrong, "\n".join(wrong)
    assert count >= MIN_CALLS


def test_every_public_name_is_tried() -> None:
    tried = set[str]()
    for make in GROUPS.values():
        tried |= {case.name.split(".")[0].split(" ")[0] for case in make()}
    assert set(lightning_resnets.__all__) - NOT_TRIED <= tried


def test_datamodules_without_setup_say_so() -> None:
    from lightning_resnets.data import CIFAR10Sample, ImageNet
    from lightning_resnets.errors import DataError

    for datamodule in (CIFAR10Sample(), ImageNet()):
        for load in (datamodule.train_dataloader, datamodule.test_dataloader):
            with pytest.raises(DataError, match=r"call setup\(\) first"):
                load()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64, torch.uint8])
def test_images_of_another_dtype_are_named(dtype: torch.dtype) -> None:
    with pytest.raises(InterventionError, match=r"images (are|must be)"):
        list(sweep(model(), images().to(dtype), [RemoveBlock("layer1.1")]))
    with pytest.raises(InterventionError, match="images must be a tensor"):
        sweep(model(), images().numpy(), [RemoveBlock("layer1.1")])  # type: ignore[arg-type]
