"""Training through Trainer.fit against a hand-written loop, exact resume, honest metrics, plain
hyperparameters.
"""

import json
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, ModelPruning
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_resnets import create_model
from lightning_resnets.checkpoint.load import load_model
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.models.pretrained_weights import PretrainedWeights
from lightning_resnets.preprocessing import Preprocessing
from lightning_resnets.training.callbacks.model_card import ModelCardCallback
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.lr_schedule import lr_factor
from lightning_resnets.training.run_dir import save_final_checkpoint
from lightning_resnets.utils.download import RemoteFile
from tests.helpers.few_images import Few, trainer


def fitted(
    folder: Path, epochs: int, lr: float = 0.05, **options: Any
) -> tuple[L.Trainer, ImageClassifier]:
    L.seed_everything(5, verbose=False)
    model = ImageClassifier("resnet20", lr=lr, label_smoothing=0.1, weight_decay=0.01)
    run = trainer(folder, max_epochs=epochs, **options)
    run.fit(model, datamodule=Few(batch_size=16))
    return run, model


def test_fit_equals_a_loop_written_by_hand(tmp_path: Path) -> None:
    _, module = fitted(tmp_path, 2, 0.002, precision="64-true")
    L.seed_everything(5, verbose=False)
    model = create_model("resnet20").double().train()
    data = Few(batch_size=16)
    data.setup("fit")
    momentum = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    step, loader = 0, data.train_dataloader()
    for _ in range(2):
        for images, labels in loader:
            loss = F.cross_entropy(model(images.double()), labels, label_smoothing=0.1)
            model.zero_grad()
            loss.backward()
            with torch.no_grad():
                for name, p in model.named_parameters():
                    assert p.grad is not None
                    slope = p.grad + (0.01 * p if p.ndim > 1 else 0)
                    momentum[name] = 0.9 * momentum[name] + slope
                    p -= 0.002 * lr_factor(step, 8, 0.2, "linear") * (slope + 0.9 * momentum[name])
            step += 1
    for name, weight in model.state_dict().items():
        assert torch.allclose(module.model.state_dict()[name], weight, rtol=1e-5, atol=1e-7), name


def test_a_resumed_run_ends_in_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    save = ModelCheckpoint(tmp_path / "all", "{epoch}", save_top_k=-1)
    _, whole = fitted(tmp_path, 3, callbacks=[ModelCardCallback(), save])
    model = ImageClassifier("resnet20", lr=0.05, label_smoothing=0.1, weight_decay=0.01)
    run = trainer(tmp_path, max_epochs=3, callbacks=[ModelCardCallback(), save])
    path = tmp_path / "all" / "epoch=0.ckpt"
    run.fit(model, datamodule=Few(batch_size=16), ckpt_path=path, weights_only=True)
    assert run.global_step == 12
    for name, weight in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name


def test_metrics_are_counts_over_all_images(tmp_path: Path) -> None:
    run, model = fitted(tmp_path, 1)
    data = Few(batch_size=16, eval_batch_size=7)
    (result,) = run.test(model, datamodule=data, verbose=False)
    whole = Few(eval_batch_size=40)
    whole.setup("test")
    images, labels = next(iter(whole.test_dataloader()))
    logits = model.model.eval()(images)
    assert result["test_accuracy"] == pytest.approx(
        float((logits.argmax(1) == labels).float().mean())
    )
    assert result["test_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)
    assert result["test_error"] == pytest.approx(1 - result["test_accuracy"])


def test_validation_inside_an_epoch_leaves_the_training_metrics_alone(tmp_path: Path) -> None:
    class Watch(L.Callback):
        seen: float = 0

        def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            self.seen = float(pl_module.train_counts.total)  # type: ignore[arg-type,union-attr]

    watch = Watch()
    L.seed_everything(5, verbose=False)
    run = trainer(
        tmp_path, max_epochs=1, val_check_interval=2, callbacks=[watch], num_sanity_val_steps=2
    )
    run.fit(ImageClassifier("resnet20", lr=0.05), datamodule=Few(batch_size=16, num_val_images=10))
    assert watch.seen == 48
    assert {"train_loss", "train_accuracy", "val_loss", "val_accuracy"} <= set(run.callback_metrics)


def test_the_card_describes_the_model_and_hyperparameters_are_plain(tmp_path: Path) -> None:
    run, model = fitted(
        tmp_path, 1, callbacks=[ModelCardCallback("few"), ModelCheckpoint(tmp_path)]
    )
    run.test(model, datamodule=Few(), verbose=False)
    path = tmp_path / "small.ckpt"
    save_final_checkpoint(run, path)
    saved = torch.load(path, weights_only=True)
    card = ModelCard.from_dict(saved["card"])
    assert json.loads(json.dumps(saved["hyper_parameters"])) == saved["hyper_parameters"]
    assert (card.arch, card.dataset, card.recipe, card.input_size) == (
        "resnet20",
        "cifar10-sample",
        "few",
        (3, 32, 32),
    )
    assert card.metrics["test_accuracy"] == pytest.approx(
        float(run.callback_metrics["test_accuracy"])
    )
    assert card.training["epochs"] == 1
    assert card.training["train_images"] == 64
    assert card.training["seconds"] > 0
    assert set(card.versions) == {"torch", "lightning", "lightning-resnets"}
    assert "optimizer_states" not in saved


def test_a_card_does_not_say_that_published_weights_were_requested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever opens the file would fetch them again. What the weights need of the model is
    said there.
    """
    wants = Preprocessing(input_size=(3, 32, 32), mean=(0.5,) * 3, std=(0.5,) * 3)
    weights = PretrainedWeights(
        "resnet20", "timm", "legacy", RemoteFile("", ""), wants, {"shortcut_type": "B"}
    )
    filled: list[PretrainedWeights] = []
    monkeypatch.setattr(
        "lightning_resnets.models.pretrained_weights.get_pretrained",
        lambda model, name=True: weights,
    )
    monkeypatch.setattr(
        "lightning_resnets.models.registry.get_pretrained", lambda model, name=True: weights
    )
    monkeypatch.setattr(
        "lightning_resnets.models.registry.load_into_model",
        lambda model, weights: filled.append(weights),
    )
    module = ImageClassifier("resnet20", model_kwargs={"pretrained": True, "zero_init_last": True})
    run = trainer(tmp_path, max_epochs=1, limit_train_batches=1, callbacks=[ModelCardCallback()])
    run.fit(module, datamodule=Few(batch_size=4))
    path = tmp_path / "small.ckpt"
    save_final_checkpoint(run, path)
    model, card = load_model(path)
    assert filled == [weights]  # once, before the training
    assert card.model_kwargs == {"shortcut_type": "B", "zero_init_last": True}
    assert all(
        torch.equal(weight, module.model.state_dict()[name])
        for name, weight in model.state_dict().items()
    )


def logits_of(model: ImageClassifier, images: torch.Tensor) -> torch.Tensor:
    """What a model answers in training mode, without a change to its statistics."""
    copy = create_model("resnet20").train()
    copy.load_state_dict(model.model.state_dict())
    return copy(images)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce"])
@pytest.mark.parametrize("soft", [False, True])
def test_the_loss_is_the_formula(loss: Any, soft: bool) -> None:
    model = ImageClassifier("resnet20", loss=loss, label_smoothing=0.1)
    images, labels = torch.rand(6, 3, 32, 32), torch.arange(6)
    targets = torch.eye(10)[labels].lerp(torch.eye(10)[labels + 2], 0.3) if soft else labels
    logits = logits_of(model, images)
    hot = targets if soft else torch.eye(10)[labels]
    if loss == "bce" and soft:  # Wightman et al. 2021: a mixed image shows both
        hot = torch.tensor(
            [[1.0 if share > 0.2 else 0.0 for share in row] for row in targets.tolist()]
        )
    smooth = hot * 0.9 + 0.1 / 10
    if loss == "bce":
        expected = -(
            smooth * logits.sigmoid().log() + (1 - smooth) * (1 - logits.sigmoid()).log()
        ).mean()
    else:
        expected = -(smooth * logits.log_softmax(1)).sum(1).mean()
    assert model.training_step((images, targets), 0).item() == pytest.approx(
        expected.item(), rel=1e-4
    )


def test_consistency_compares_the_logits_of_the_two_halves() -> None:
    images, labels = torch.rand(8, 3, 32, 32), torch.arange(4).repeat(2)
    model = ImageClassifier("resnet20", consistency_weight=0.5)
    first, second = logits_of(model, images).chunk(2)
    expected = (
        F.cross_entropy(torch.cat((first, second)), labels) + 0.5 * ((first - second) ** 2).mean()
    )
    assert model.training_step((images, labels), 0).item() == pytest.approx(
        expected.item(), rel=1e-4
    )


def test_flip_tta_accuracy_is_of_the_mean_probability(tmp_path: Path) -> None:
    run, module = fitted(tmp_path, 1)
    (result,) = run.test(module, datamodule=Few(eval_batch_size=7), verbose=False)
    whole = Few(eval_batch_size=40)
    whole.setup("test")
    images, labels = next(iter(whole.test_dataloader()))
    model = module.model.eval()
    mean = torch.stack((model(images).softmax(1), model(torch.flip(images, (3,))).softmax(1))).mean(
        0
    )
    assert result["test_accuracy_flip_tta"] == pytest.approx(
        float((mean.argmax(1) == labels).float().mean())
    )
    assert result["test_error_flip_tta"] == pytest.approx(1 - result["test_accuracy_flip_tta"])


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_other_optimizers_take_the_same_groups(name: Any, tmp_path: Path) -> None:
    model = ImageClassifier("resnet20", optimizer=name, lr=1e-3, weight_decay=0.02)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(model, datamodule=Few(batch_size=16, mixup_alpha=0.2, cutmix_alpha=1.0))
    (optimizer,) = run.optimizers
    assert type(optimizer).__name__.lower() == name
    decayed, plain = optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.02, 0.0)
    assert sum(p.numel() for p in decayed["params"] + plain["params"]) == 269_722
    assert all(p.ndim <= 1 for p in plain["params"])


def test_a_compiled_model_keeps_its_names_and_trains_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[torch.nn.Module] = []

    def compiler(model: torch.nn.Module, dynamic: bool) -> torch.nn.Module:
        compiled.append(model)
        return real(model, backend="aot_eager", dynamic=dynamic)  # type: ignore[return-value] - without a compiler of C++

    real = torch.compile
    monkeypatch.setattr(torch, "compile", compiler)
    L.seed_everything(5, verbose=False)
    module = ImageClassifier(
        "resnet20", lr=0.002, label_smoothing=0.1, weight_decay=0.01, compile=True
    )
    trainer(tmp_path, max_epochs=1).fit(module, datamodule=Few(batch_size=16))
    assert compiled == [module.model]
    _, plain = fitted(tmp_path, 1, 0.002)
    assert list(module.state_dict()) == list(plain.state_dict())
    for name, weight in plain.state_dict().items():
        assert torch.allclose(module.state_dict()[name], weight, rtol=1e-3, atol=1e-4), name


class Mine(L.LightningModule):
    """A script of one's own, with neither our module nor our data."""

    def __init__(self) -> None:
        super().__init__()
        self.model = create_model("resnet20", 2)

    def training_step(
        self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int
    ) -> torch.Tensor:
        return F.cross_entropy(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


def test_the_card_writer_alone(tmp_path: Path) -> None:
    images = DataLoader(
        [(torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 0, 1]))] * 2, batch_size=None
    )  # type: ignore[arg-type]
    facts: dict[str, Any] = {
        "arch": "resnet20",
        "class_names": ("cat", "dog"),
        "input_size": (3, 32, 32),
    }
    facts |= {"mean": (0.5,) * 3, "std": (0.25,) * 3, "name": "pets"}
    save = ModelCheckpoint(tmp_path, filename="mine")
    run = trainer(
        tmp_path,
        max_epochs=1,
        callbacks=[ModelCardCallback("own", **facts), save],
        log_every_n_steps=1,
    )
    run.fit(module := Mine(), images)
    model, card = load_model(tmp_path / "mine.ckpt")
    assert (card.arch, card.class_names, card.dataset, card.recipe) == (
        "resnet20",
        ("cat", "dog"),
        "pets",
        "own",
    )
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(x), module.eval().model(x))
    facts.pop("mean")
    with pytest.raises(ValueError, match=r"lacks mean: pass ModelCardCallback\(mean=\.\.\.\)"):
        trainer(
            tmp_path,
            max_epochs=1,
            callbacks=[ModelCardCallback(**facts), ModelCheckpoint(tmp_path / "b")],
        ).fit(Mine(), images)
    with pytest.raises(ValueError, match=r"Unknown field 'color' of a model card. Fields: arch"):
        ModelCardCallback(color="red")


def test_weights_can_be_viewed_as_vectors() -> None:
    module = ImageClassifier("seresnet20")
    vector = torch.nn.utils.parameters_to_vector(module.parameters())
    expected = torch.cat([weight.detach().flatten() for weight in module.parameters()])
    assert torch.equal(vector, expected)
    torch.nn.utils.vector_to_parameters(2 * vector.detach(), module.parameters())
    doubled = torch.cat([weight.detach().flatten() for weight in module.parameters()])
    assert torch.equal(doubled, 2 * expected)


def test_pruning_during_a_training_keeps_its_share(tmp_path: Path) -> None:
    pruning = ModelPruning("l1_unstructured", amount=0.5, use_lottery_ticket_hypothesis=False)
    module = ImageClassifier("resnet20", lr=0.05)
    save = ModelCheckpoint(tmp_path, "pruned")
    run = trainer(tmp_path, max_epochs=1, callbacks=[pruning, save, ModelCardCallback()])
    run.fit(module, datamodule=Few(batch_size=16))
    weights = [weight for weight in module.parameters() if weight.ndim > 1]
    # One training epoch prunes half of all parameters, those that are smallest.
    zeros = sum(int((parameter == 0).sum()) for parameter in module.parameters())
    total = sum(parameter.numel() for parameter in module.parameters())
    assert zeros >= 0.5 * total - 1
    assert any(bool((weight != 0).any()) for weight in weights)
    model, _ = load_model(tmp_path / "pruned.ckpt")
    assert sum(int((parameter == 0).sum()) for parameter in model.parameters()) == zeros


def test_images_are_stored_with_channels_last(tmp_path: Path) -> None:
    """Convolutions are fast only if the first one sees this layout, whatever the loader gives."""
    seen: list[bool] = []
    module = ImageClassifier("resnet20", lr=0.05)
    module.model.conv1.register_forward_hook(  # type: ignore[operator,union-attr]
        lambda _, args, out: seen.append(out.is_contiguous(memory_format=torch.channels_last))
    )
    images = torch.randn(8, 3, 32, 32)
    module.training_step((images, torch.arange(8)), 0)
    module.predict_step((images, torch.arange(8)), 0)
    assert seen == [True, True]
