"""Gates' weights by class against a loop over images; written once, for all processes, and no hook
is left.
"""

import csv
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.data.cifar10 import CIFAR10Sample, ImagesAndLabels
from lightning_resnets.data.cifar10_sample import CLASSES
from lightning_resnets.merges import Gate
from lightning_resnets.training.callbacks.gate_statistics import (
    COLUMNS,
    GateAccumulator,
    GateStatistics,
)
from lightning_resnets.training.image_classifier import ImageClassifier
from tests.helpers.two_ranks import Notes, pair, trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

COUNT = 41  # two processes cannot share them evenly
Rows = dict[tuple[str, str], list[float]]


class Few(CIFAR10Sample):
    def read(self) -> tuple[ImagesAndLabels, ImagesAndLabels]:
        train, (images, labels) = super().read()
        return train, (images[:COUNT], labels[:COUNT])


def written(path: Path) -> Rows:
    with path.open(newline="") as file:
        head, *rows = csv.reader(file)
    assert tuple(head) == COLUMNS
    return {
        (gate, label): [float(value) for value in (depth, *values)]
        for gate, depth, label, *values in rows
    }


def by_hand(model: ImageClassifier) -> Rows:
    """One image after the other, every weight in a list."""
    data, seen = Few(eval_batch_size=1), {}
    data.setup("test")
    gates = [name for name, part in model.model.named_modules() if isinstance(part, Gate)]
    kept: dict[str, Tensor] = {}
    handles = [
        model.model.get_submodule(name).register_forward_hook(
            lambda m, args, out, name=name: kept.update({name: args[1]})
        )
        for name in gates
    ]
    for image, label in data.test_dataloader():
        with torch.no_grad():
            model.model.eval()(image)
        for depth, name in enumerate(gates, 1):
            seen.setdefault((name.removesuffix(".gate"), CLASSES[int(label)]), (depth, []))[
                1
            ].append(kept[name])
    for handle in handles:
        handle.remove()
    rows: Rows = {}
    for key, (depth, parts) in seen.items():
        raw = torch.cat(parts).double()
        means = raw.mean((2, 3))
        low, high = (raw < 0.05).double().mean(), (raw > 0.95).double().mean()
        rows[key] = [
            depth,
            len(parts),
            *(float(v) for v in (means.mean(), means.std(correction=0), low, high)),
        ]
    return rows


def make_model(name: str) -> ImageClassifier:
    if name == "seresnet20-cifar10":
        return ImageClassifier.load_from_checkpoint(resolve_checkpoint(name))
    torch.manual_seed(0)
    return ImageClassifier(name)


def run(folder: Path, name: str, **options: Any) -> None:
    trainer(folder, callbacks=[GateStatistics()], **options).test(
        make_model(name), datamodule=Few(eval_batch_size=20), verbose=False
    )


@pytest.mark.parametrize(
    "name", ["seresnet20-cifar10", pytest.param("highway19", marks=pytest.mark.slow)]
)
def test_each_class_is_weighed_as_a_loop_over_its_pictures_says(tmp_path: Path, name: str) -> None:
    run(tmp_path, name)
    rows, expected = written(tmp_path / "gate_statistics_test.csv"), by_hand(make_model(name))
    assert rows.keys() == expected.keys()
    for key, values in expected.items():
        assert rows[key] == pytest.approx(values, abs=1e-4), key
    assert sum(values[1] for (gate, _), values in rows.items() if values[0] == 1) == COUNT


def evaluated(folder: Path, **options: Any) -> list[dict[str, float]]:
    notes = Notes("gates/")
    run(folder, "seresnet20-cifar10", logger=notes, **options)
    return list(notes.given.values())


@pytest.mark.slow
def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    (one,), rows = evaluated(tmp_path), written(tmp_path / "gate_statistics_test.csv")
    (first, *_), _ = pair(evaluated, tmp_path / "two")
    again = written(tmp_path / "two" / "gate_statistics_test.csv")
    assert rows.keys() == again.keys()
    assert all(again[key] == pytest.approx(values, abs=1e-5) for key, values in rows.items())
    assert first == pytest.approx(one, abs=1e-6)


def test_sums_are_those_of_the_formula() -> None:
    rng = torch.Generator().manual_seed(0)
    weight, labels = (
        torch.rand(30, 4, 1, 1, generator=rng),
        torch.randint(0, 3, (30,), generator=rng),
    )
    sums = GateAccumulator.zeros(5, 4, torch.device("cpu"))  # of two classes there is no image
    sums.update(weight[:11], labels[:11])
    sums.update(weight[11:], labels[11:])
    means = torch.stack([weight[labels == label].mean((0, 2, 3)) for label in range(3)])
    pairs = [(means[a] - means[b]).square().mean() for a, b in itertools.combinations(range(3), 2)]
    found = sums.unflatten(sums.flatten()).summary()
    assert found["class_distance"] == pytest.approx(
        float(torch.stack(pairs).mean().sqrt()), rel=1e-5
    )
    assert found["mean"] == pytest.approx(float(weight.mean()), rel=1e-5)
    assert found["closed"] == pytest.approx(float((weight < 0.05).float().mean()), rel=1e-5)
    assert found["open"] == pytest.approx(float((weight > 0.95).float().mean()), rel=1e-5)


def test_no_hook_is_left_and_bfloat16_is_taken(tmp_path: Path) -> None:
    model = make_model("seresnet20-cifar10")
    options: dict[str, Any] = {
        "precision": "bf16-true",
        "callbacks": [GateStatistics()],
        "limit_test_batches": 2,
    }
    trainer(tmp_path, **options).test(model, datamodule=Few(eval_batch_size=5), verbose=False)
    rows = written(tmp_path / "gate_statistics_test.csv")
    assert sum(values[1] for values in rows.values() if values[0] == 1) == 10
    assert not any(part._forward_hooks for part in model.modules())


def test_what_fails_leaves_no_hook(tmp_path: Path) -> None:
    class Failing(ImageClassifier):
        def on_test_batch_end(self, *args: Any) -> None:
            raise RuntimeError("on purpose")

    model = Failing("seresnet20")
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer(tmp_path, callbacks=[GateStatistics()]).test(
            model, datamodule=Few(eval_batch_size=5), verbose=False
        )
    assert not any(part._forward_hooks for part in model.modules())
    assert not list(tmp_path.glob("gate*"))


def test_validation_during_a_run_is_written_beside_and_a_net_without_gates_is_told(
    tmp_path: Path,
) -> None:
    data = Few(batch_size=4, num_val_images=10, eval_batch_size=10)
    options: dict[str, Any] = {
        "max_steps": 1,
        "num_sanity_val_steps": 1,
        "callbacks": [GateStatistics()],
    }
    trainer(tmp_path, val_check_interval=1, **options).fit(
        ImageClassifier("seresnet20"), datamodule=data
    )
    rows = written(tmp_path / "gate_statistics_val.csv")
    assert sum(values[1] for values in rows.values() if values[0] == 1) == 10
    with pytest.warns(UserWarning, match="this model has no Gate"):
        run(tmp_path, "resnet20", limit_test_batches=2)
    with pytest.raises(ValueError, match="needs the class names"):
        trainer(tmp_path, callbacks=[GateStatistics()]).test(
            ImageClassifier("seresnet20"), dataloaders=loader(), verbose=False
        )


def loader() -> Any:
    data = Few()
    data.setup("test")
    return data.test_dataloader()
