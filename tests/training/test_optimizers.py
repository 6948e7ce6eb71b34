"""Tests of optimizers in a training: clipped gradients and frozen parameters."""

from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import BackboneFinetuning, BaseFinetuning, ModelCheckpoint
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.lr_schedule import lr_factor
from lightning_resnets.training.optimizers import (
    OPTIMIZERS,
    adamw,
    keeps_loss_scale,
    param_groups,
    sgd,
)
from tests.helpers.few_images import Few, trainer

NUM_STEPS = 4  # of one epoch


def make_module(**options: Any) -> ImageClassifier:
    L.seed_everything(5, verbose=False)
    return ImageClassifier("resnet20", **{"lr": 0.01, "weight_decay": 0.01} | options)


class ClippingOracle(L.Callback):
    """Repeat every step by the formulas, from the gradients before they are clipped."""

    def __init__(self, optimizer: str, algorithm: str, limit: float) -> None:
        self.optimizer = optimizer
        self.algorithm = algorithm
        self.limit = limit
        self.num_steps = 0
        self.num_clipped = 0
        self.weights: list[Tensor] = []
        self.gradients: list[Tensor] = []
        self.first: dict[int, Tensor] = {}
        self.second: dict[int, Tensor] = {}

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: Any, optimizer: torch.optim.Optimizer
    ) -> None:
        parameters = list(pl_module.parameters())
        self.weights = [parameter.detach().double() for parameter in parameters]
        self.gradients = [parameter.grad.double() for parameter in parameters]

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *args: Any) -> None:
        clipped = self.clip()
        rate = 0.01 * lr_factor(self.num_steps, NUM_STEPS, 0.2, "linear")
        for index, parameter in enumerate(pl_module.parameters()):
            decay = 0.01 if parameter.ndim > 1 else 0.0
            torch.testing.assert_close(
                parameter.grad.double(), clipped[index], rtol=1e-4, atol=1e-9
            )
            update = self.sgd if self.optimizer == "sgd" else self.adamw
            expected = update(index, clipped[index], rate, decay)
            torch.testing.assert_close(parameter.detach().double(), expected, rtol=1e-6, atol=1e-6)
        self.num_steps += 1

    def clip(self) -> list[Tensor]:
        """Return the clipped gradients: the elements, or the norm of all together."""
        if self.algorithm == "value":
            clipped = [gradient.clamp(-self.limit, self.limit) for gradient in self.gradients]
        else:
            norm = torch.cat([gradient.flatten() for gradient in self.gradients]).norm()
            factor = min(1.0, self.limit / (float(norm) + 1e-6))
            clipped = [gradient * factor for gradient in self.gradients]
        pairs = zip(clipped, self.gradients, strict=True)
        self.num_clipped += not all(torch.equal(*pair) for pair in pairs)
        return clipped

    def sgd(self, index: int, gradient: Tensor, rate: float, decay: float) -> Tensor:
        """Nesterov momentum as in Sutskever et al. 2013 and torch."""
        weight = self.weights[index]
        gradient = gradient + decay * weight
        self.first[index] = 0.9 * self.first.get(index, torch.zeros_like(weight)) + gradient
        return weight - rate * (gradient + 0.9 * self.first[index])

    def adamw(self, index: int, gradient: Tensor, rate: float, decay: float) -> Tensor:
        """Algorithm 2 of Loshchilov and Hutter 2019."""
        weight = self.weights[index]
        zero = torch.zeros_like(weight)
        self.first[index] = 0.9 * self.first.get(index, zero) + 0.1 * gradient
        self.second[index] = 0.999 * self.second.get(index, zero) + 0.001 * gradient**2
        mean = self.first[index] / (1 - 0.9 ** (self.num_steps + 1))
        variance = self.second[index] / (1 - 0.999 ** (self.num_steps + 1))
        return weight * (1 - rate * decay) - rate * mean / (variance.sqrt() + 1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(("algorithm", "limit"), [("norm", 0.5), ("value", 0.01)])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_exactly(
    tmp_path: Path, optimizer: Any, algorithm: Any, limit: float, precision: Any
) -> None:
    oracle = ClippingOracle(optimizer, algorithm, limit)
    run = trainer(
        tmp_path,
        max_epochs=1,
        precision=precision,
        gradient_clip_val=limit,
        gradient_clip_algorithm=algorithm,
        callbacks=[oracle],
    )
    run.fit(make_module(optimizer=optimizer), datamodule=Few(batch_size=16))
    assert run.optimizers[0].param_groups[0]["fused"]
    assert (oracle.num_steps, oracle.num_clipped) == (NUM_STEPS, NUM_STEPS)


class OwnClipping(ImageClassifier):
    """A subclass that clips with a limit of its own."""

    def configure_gradient_clipping(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        self.clip_gradients(optimizer, 0.5, "norm")


def test_subclass_may_clip_by_itself(tmp_path: Path) -> None:
    modules = []
    for kind, options in ((ImageClassifier, {"gradient_clip_val": 0.5}), (OwnClipping, {})):
        L.seed_everything(5, verbose=False)
        module = kind("resnet20", lr=0.01)
        run = trainer(tmp_path, max_epochs=1, precision="bf16-mixed", **options)
        run.fit(module, datamodule=Few(batch_size=16))
        modules.append(module.state_dict())
    assert all(torch.equal(weight, modules[1][name]) for name, weight in modules[0].items())


def test_loss_scale_is_left_to_the_optimizer_only_without_clipping() -> None:
    class Plugin:
        scaler = torch.amp.GradScaler("cpu")

    class FakeTrainer:
        precision_plugin = Plugin()
        gradient_clip_val: float | None = None

    fake: Any = FakeTrainer()
    assert keeps_loss_scale(make_module(), fake)
    assert not keeps_loss_scale(OwnClipping("resnet20"), fake)
    fake.gradient_clip_val = 1.0
    assert not keeps_loss_scale(make_module(), fake)
    fake.gradient_clip_val = None
    fake.precision_plugin.scaler = None
    assert not keeps_loss_scale(make_module(), fake)


def test_momentum_from_zero_is_a_first_step_to_the_bit() -> None:
    found, expected = torch.randn(2, 40).unbind()
    gradient = torch.randn(40)
    parameters = [nn.Parameter(found.clone()), nn.Parameter(found.clone())]
    ours = sgd(param_groups(parameters[:1], 0.1), 0.3, 0.9)
    plain = torch.optim.SGD(parameters[1:], 0.3, 0.9, nesterov=True, fused=True)
    for _ in range(3):
        for parameter, optimizer in zip(parameters, (ours, plain), strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
        assert torch.equal(*parameters)
    assert not torch.equal(parameters[0], found)
    assert not torch.equal(parameters[0], expected)


def head_only(module: ImageClassifier) -> None:
    """Freeze all but the classifier."""
    module.model.requires_grad_(False)
    module.model.fc.requires_grad_(True)  # type: ignore[operator,union-attr]


class Unfreeze(L.Callback):
    """Freeze all but the classifier by hand, until an epoch begins."""

    def __init__(self, epoch: int, freeze: bool) -> None:
        self.epoch = epoch
        self.freeze = freeze

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        if trainer.current_epoch >= self.epoch:
            pl_module.requires_grad_(True)
        elif self.freeze:
            head_only(pl_module)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("freeze_before", [False, True])
def test_parameters_unfrozen_by_hand_are_trained(
    tmp_path: Path, optimizer: Any, freeze_before: bool
) -> None:
    """Against torch's optimizer that is not fused."""
    ends = []
    for fused in (True, False):
        module = make_module(optimizer=optimizer)
        if freeze_before:
            head_only(module)
        run = trainer(
            tmp_path,
            max_epochs=3,
            limit_train_batches=2,
            precision="64-true",
            callbacks=[Unfreeze(1, not freeze_before)],
        )
        with pytest.MonkeyPatch.context() as patch:
            if not fused:
                patch.setitem(OPTIMIZERS, optimizer, UNFUSED[optimizer])
            run.fit(module, datamodule=Few(batch_size=16))
        assert bool(run.optimizers[0].param_groups[0]["fused"]) == fused
        ends.append(module)
    start = make_module()
    for (name, found), expected, before in zip(
        ends[0].named_parameters(), ends[1].parameters(), start.parameters(), strict=True
    ):
        assert torch.allclose(found, expected, rtol=1e-6, atol=1e-9), name
        assert not torch.equal(found, before.double()), name


def unfused_sgd(groups: Any, lr: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr, momentum, nesterov=True, fused=False)


def unfused_adamw(groups: Any, lr: float, momentum: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr, (momentum, 0.999), fused=False)


UNFUSED = {"sgd": unfused_sgd, "adamw": unfused_adamw}


class WithBackbone(ImageClassifier):
    """A subclass with the attribute that Lightning's BackboneFinetuning needs."""

    @property
    def backbone(self) -> nn.Module:
        model: Any = self.model
        return nn.ModuleList([model.conv1, model.bn1, model.layer1, model.layer2, model.layer3])


class UnfreezeLast(BaseFinetuning):
    """A finetuning callback as Lightning's documentation shows it."""

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(list(pl_module.model.children())[:-1], train_bn=False)

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.model.layer3, optimizer, lr=0.003)


def make_finetuning(kind: str) -> BaseFinetuning:
    if kind == "base":
        return UnfreezeLast()
    return BackboneFinetuning(1, lambda_func=double, train_bn=False, should_align=False)


def double(epoch: int) -> float:
    return 2.0


FINETUNING = [("base", "sgd"), ("base", "adamw"), ("backbone", "sgd"), ("backbone", "adamw")]


@pytest.mark.parametrize(("kind", "optimizer"), FINETUNING)
def test_finetuning_callbacks_train_what_they_unfreeze(
    tmp_path: Path, kind: str, optimizer: Any
) -> None:
    L.seed_everything(5, verbose=False)
    module = WithBackbone("resnet20", lr=0.02, weight_decay=0.01, optimizer=optimizer)
    weights: list[dict[str, Tensor]] = []

    class Copy(L.Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
            parameters = pl_module.model.named_parameters()
            weights.append({name: weight.detach().clone() for name, weight in parameters})

    callbacks = [make_finetuning(kind), Copy()]
    run = trainer(tmp_path, max_epochs=3, limit_train_batches=2, callbacks=callbacks)
    start = {name: weight.clone() for name, weight in module.model.named_parameters()}
    run.fit(module, datamodule=Few(batch_size=16))

    def has_moved(name: str, epoch: int) -> bool:
        before = start if epoch == 0 else weights[epoch - 1]
        return not torch.equal(before[name], weights[epoch][name])

    assert [has_moved("fc.weight", epoch) for epoch in range(3)] == [True] * 3
    conv = "layer3.2.conv2.weight"
    assert [has_moved(conv, epoch) for epoch in range(3)] == [False, True, True]
    assert has_moved("layer1.0.conv1.weight", 2) == (kind == "backbone")
    added = run.optimizers[0].param_groups[2]
    assert added["weight_decay"] == 0.01
    if kind == "base":
        assert added["lr"] == 0.003


@pytest.mark.parametrize(("kind", "optimizer"), [("base", "sgd"), ("backbone", "adamw")])
@pytest.mark.parametrize("epoch", [0, 1])
def test_finetuning_resumes(tmp_path: Path, kind: str, optimizer: Any, epoch: int) -> None:
    ends = []
    for path in (None, str(tmp_path / f"epoch={epoch}.ckpt")):
        L.seed_everything(5, verbose=False)
        module = WithBackbone("resnet20", lr=0.02, optimizer=optimizer)
        save = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, enable_version_counter=False)
        callbacks = [make_finetuning(kind), save]
        run = trainer(tmp_path, max_epochs=3, limit_train_batches=2, callbacks=callbacks)
        run.fit(module, datamodule=Few(batch_size=16), ckpt_path=path, weights_only=True)
        ends.append(module.state_dict())
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())


def test_run_with_parameters_unfrozen_by_hand_resumes(tmp_path: Path) -> None:
    ends = []
    for path in (None, str(tmp_path / "epoch=0.ckpt")):
        module = make_module()
        save = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, enable_version_counter=False)
        callbacks = [Unfreeze(1, True), save]
        run = trainer(tmp_path, max_epochs=3, limit_train_batches=2, callbacks=callbacks)
        run.fit(module, datamodule=Few(batch_size=16), ckpt_path=path, weights_only=True)
        ends.append(module.state_dict())
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())


class WithHead(ImageClassifier):
    """A subclass with a layer of its own."""

    def __init__(self, width: int = 4) -> None:
        super().__init__("resnet20", width, lr=0.05)
        self.head = nn.Linear(width, 10)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return F.cross_entropy(self.head(self.model(batch[0])), batch[1])


def test_layers_of_a_subclass_are_trained(tmp_path: Path) -> None:
    module = WithHead()
    before = module.head.weight.detach().clone()
    run = trainer(tmp_path, max_epochs=1, limit_val_batches=0)
    run.fit(module, datamodule=Few(batch_size=16))
    assert not torch.equal(module.head.weight, before)


@pytest.mark.parametrize("build", [sgd, adamw])
def test_groups_that_are_added_decay_like_weights(build: Any) -> None:
    weights = [nn.Parameter(torch.ones(3, 3)) for _ in range(2)]
    optimizer = build(param_groups(weights[:1], 0.07), 0.1, 0.9)
    optimizer.add_param_group({"params": weights[1:]})
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.07, 0.0, 0.07]
