"""Norms at every Add against autograd by hand; nothing is left behind and nothing is done
between.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.merges import Add
from lightning_resnets.models.registry import create_model
from lightning_resnets.training.callbacks.skip_norms import SkipNorms, find_adds
from tests.helpers.two_ranks import Notes, pair, trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


class Plainest(L.LightningModule):
    """Somebody else's module."""

    def __init__(self, model: nn.Module, lr: float = 0.0) -> None:
        super().__init__()
        self.model, self.lr = model, lr

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return F.cross_entropy(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.lr)


class Batches:
    """The same few batches in every process; no list, which Lightning would take for several
    loaders.
    """

    def __init__(self, batches: list[tuple[Tensor, Tensor]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self.batches)


def batches(count: int) -> Batches:
    rng = torch.Generator().manual_seed(0)
    return Batches(
        [
            (torch.randn(6, 3, 32, 32, generator=rng), torch.randint(0, 10, (6,), generator=rng))
            for _ in range(count)
        ]
    )


def make_model(name: str = "resnet20") -> nn.Module:
    torch.manual_seed(0)
    return create_model(name).train()


def noted(
    folder: Path, model: nn.Module, every: int | None = 1, steps: int = 1, **options: Any
) -> Notes:
    notes = Notes("skip_norms/")
    run = trainer(folder, max_steps=steps, logger=notes, callbacks=[SkipNorms(every)], **options)
    run.fit(Plainest(model), batches(steps))
    return notes


def by_hand(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Each Add's operands kept, and the gradients of each image's share of the loss asked of
    autograd.
    """
    kept: dict[str, tuple[Tensor, ...]] = {}
    handles = [
        part.register_forward_hook(
            lambda module, args, output, name=name: kept.update({name: args})
        )
        for name, part in model.named_modules()
        if isinstance(part, Add)
    ]
    loss = F.cross_entropy(model(images), labels, reduction="sum")
    for handle in handles:
        handle.remove()
    found: dict[str, float] = {}
    for name, met in kept.items():
        for role, tensor in zip(("shortcut", "branch"), met, strict=True):
            (slope,) = torch.autograd.grad(loss, tensor, retain_graph=True)
            for key, value in ((role, tensor), (f"{role}_gradient", slope)):
                each = [image.norm() ** 2 for image in value.detach()]
                found[f"skip_norms/{name[:-4]}/{key}"] = float(torch.stack(each).mean().sqrt())
    return found


@pytest.mark.parametrize("name", ["resnet20", "preresnet20", "seresnet20"])
def test_norms_are_autograds(tmp_path: Path, name: str) -> None:
    notes = noted(tmp_path, make_model(name))
    expected = by_hand(make_model(name), *batches(1).batches[0])
    assert len(expected) == 4 * 9
    assert notes.given[0] == pytest.approx(expected, rel=1e-4)


def test_a_shortcut_gets_more_gradient_than_the_sum_gives(tmp_path: Path) -> None:
    """At the sum both operands get the same; an identity shortcut gets its branch's besides."""
    (found,) = noted(tmp_path, make_model()).given.values()
    assert found["skip_norms/layer1.1/shortcut_gradient"] != pytest.approx(
        found["skip_norms/layer1.1/branch_gradient"], rel=1e-2
    )


def test_every_so_many_steps_and_no_hook_between(tmp_path: Path) -> None:
    class Watch(L.Callback):
        def __init__(self) -> None:
            self.hooks: list[int] = []

        def on_before_backward(
            self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
        ) -> None:
            self.hooks.append(sum(len(part._forward_hooks) for part in pl_module.modules()))

    model, notes, watch = make_model(), Notes("skip_norms/"), Watch()
    run = trainer(
        tmp_path, max_steps=6, logger=notes, log_every_n_steps=3, callbacks=[SkipNorms(), watch]
    )
    run.fit(Plainest(model), batches(6))
    assert list(notes.given) == [2, 5]
    assert watch.hooks == [0, 0, 9, 0, 0, 9]
    assert not any(part._forward_hooks for part in model.modules())
    assert not any(name.startswith("skip_norms") for name in run.callback_metrics)


def test_a_run_that_fails_leaves_no_hook(tmp_path: Path) -> None:
    class Failing(Plainest):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            super().training_step(batch, batch_idx)
            raise RuntimeError("on purpose")

    model = Failing(make_model())
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer(tmp_path, max_steps=1, callbacks=[SkipNorms(1)]).fit(model, batches(1))
    assert not any(part._forward_hooks for part in model.modules())


def test_the_run_is_the_same_with_it_and_without(tmp_path: Path) -> None:
    ends = []
    for callbacks in ([], [SkipNorms(1)]):
        model = Plainest(make_model(), lr=0.1)
        trainer(tmp_path, max_steps=2, callbacks=callbacks).fit(model, batches(2))
        ends.append(model.state_dict())
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())


def test_accumulated_batches_and_bfloat16(tmp_path: Path) -> None:
    expected = noted(tmp_path, make_model(), steps=1).given[0]
    several = noted(tmp_path, make_model(), steps=1, accumulate_grad_batches=2, max_epochs=1)
    assert list(several.given) == [0]
    half = noted(tmp_path, make_model(), precision="bf16-mixed").given[0]
    assert half == pytest.approx(expected, rel=0.2)


def both(folder: Path) -> dict[str, float]:
    notes, share = Notes("skip_norms/"), 3
    rank = int(os.environ["RANK"])
    images, labels = batches(1).batches[0]
    run = trainer(folder, max_steps=1, logger=notes, callbacks=[SkipNorms(1)])
    part = slice(rank * share, (rank + 1) * share)

    class Still(Plainest):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            self.model.eval()  # batch norms would count in each process
            return super().training_step(batch, batch_idx)

    run.fit(Still(make_model()), Batches([(images[part], labels[part])]))
    return notes.given.get(0, {})


@pytest.mark.slow
def test_two_processes_log_the_norms_of_all_images(tmp_path: Path) -> None:
    first, second = pair(both, tmp_path)
    assert first == pytest.approx(by_hand(make_model().eval(), *batches(1).batches[0]), rel=1e-4)
    assert not second or second == first


def test_what_has_no_add_and_what_is_compiled_get_a_message(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="this model has no Add"):
        noted(tmp_path, make_model("plain20"))
    with pytest.raises(ValueError, match="every must be 1 step or more, got 0"):
        SkipNorms(0)

    class Unseen(Plainest):
        def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
            return sum(p.square().sum() for p in self.parameters())  # type: ignore[return-value]

    assert len(find_adds(Plainest(make_model()))) == 9
    with pytest.raises(ValueError, match="not compiled"):
        trainer(tmp_path, max_steps=1, callbacks=[SkipNorms(1)]).fit(
            Unseen(make_model()), batches(1)
        )
