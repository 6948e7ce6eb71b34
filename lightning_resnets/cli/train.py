"""LightningCLI over the Classifier: the recipe decides, options overrule; `fit` ends with a test and a small file."""

import csv
import errno
import re
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import torch
from jsonargparse import ArgumentError
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from torch import Tensor

from lightning_resnets.checkpoint.load import load_checkpoint, read_card
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.cli.option_errors import format_option_error
from lightning_resnets.errors import CheckpointError, OptionError
from lightning_resnets.models.pretrained_weights import resolve_model_kwargs
from lightning_resnets.training.callbacks.checkpointing import LastCheckpoint
from lightning_resnets.training.callbacks.divergence import StopOnDivergence
from lightning_resnets.training.callbacks.exact_resume import ExactResume
from lightning_resnets.training.callbacks.model_card import ModelCardCallback
from lightning_resnets.training.callbacks.resume_config import (
    CHECKPOINT_KEY,
    EXTENDED_KEY,
    ResumeConfigCallback,
    config_differences,
    is_extended,
    run_config,
)
from lightning_resnets.training.callbacks.signals import StopOnSignal
from lightning_resnets.training.hardware import default_precision
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.run_dir import (
    lock_run_dir,
    remove_empty_log_dir,
    save_final_checkpoint,
)
from lightning_resnets.training.run_record import RunRecord, incomplete_reason, reproduce_command

MAX_EPOCHS_KEY = "trainer.max_epochs"


MINIMUMS = {
    "accumulate_grad_batches": 1,
    "gradient_clip_val": 0,
    "log_every_n_steps": 0,
    "check_val_every_n_epoch": 1,
}


SAVE_HELP = "`fit` writes runs/<recipe>/last.ckpt at the end of every epoch, and every so many {} within one (0: not)."


def describe_model(model: str, model_kwargs: dict[str, Any]) -> str:
    return model + (f" with {model_kwargs}" if model_kwargs else "")


def check_resumable(path: Path, now: dict[str, Any]) -> None:
    """Raise ValueError where no run under these settings can go on from the file; note where it is to go on longer."""
    contents = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if missing := {"optimizer_states", "loops", "pytorch-lightning_version"} - contents.keys():
        raise ValueError(
            f"{path} holds no {min(missing)}, so that no run can go on from it: take the run's last.ckpt, or leave "
            "--ckpt_path out to begin anew."
        )
    now[EXTENDED_KEY] = is_extended(contents.get(CHECKPOINT_KEY), now)
    if found := config_differences(contents.get(CHECKPOINT_KEY), now):
        raise ValueError(
            f"{path} was trained with {', '.join(found)}: give the same options, or leave --ckpt_path out "
            "to begin anew."
        )


def check_no_unfinished_run(path: Path) -> None:
    """Raise ValueError where the file is the last of a run that still has epochs to go."""
    if not path.is_file():
        return
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        done, planned = (
            held["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"],
            held[CHECKPOINT_KEY][MAX_EPOCHS_KEY],
        )
    except Exception:  # noqa: BLE001 - not a file of ours: nothing to lose that anyone could go on from
        return
    if planned is not None and done < planned:
        raise ValueError(
            f"{path} is of a run that has done {done} of {planned} epochs: go on with --ckpt_path last, give this one "
            "its own place with --run_dir DIR, or begin anew in its place with --overwrite true."
        )


def trainer_defaults(recipe: str, run_dir: Path) -> dict[str, Any]:
    """The Trainer's settings where neither the recipe nor the command line says otherwise."""
    lasting = [
        ResumeConfigCallback(),
        ExactResume(keep=["tally"]),
        StopOnDivergence(),
        LastCheckpoint(run_dir),
        StopOnSignal(),
    ]
    return {
        "callbacks": [ModelCardCallback(recipe), *lasting],
        "default_root_dir": str(run_dir),
        "enable_model_summary": False,
        "log_every_n_steps": 50,
        "logger": {
            "class_path": "lightning.pytorch.loggers.CSVLogger",
            "init_args": {"save_dir": str(run_dir), "name": ""},
        },
        "num_sanity_val_steps": 0,
        "plugins": [
            {"class_path": "lightning_resnets.training.callbacks.checkpointing.AtomicCheckpointIO"}
        ],
        "precision": default_precision(),
    }


class TrainingCLI(LightningCLI):
    """`fit`, `validate`, `test` and `predict` for one recipe; files go to `runs/<recipe>/`."""

    def __init__(self, args: list[str], recipe: str) -> None:
        self.args, self.recipe = args, recipe or "run"
        self.run_dir = Path(dict(pairwise(args)).get("--run_dir", f"runs/{self.recipe}"))
        strict = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            ImageClassifier,
            L.LightningDataModule,
            parser_kwargs=strict | {name: dict(strict) for name in self.subcommands()},
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            trainer_defaults=trainer_defaults(self.recipe, self.run_dir),
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            args=args,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("data.num_classes", "model.num_classes", apply_on="instantiate")
        parser.add_argument(
            "--test_at_end",
            type=bool,
            default=True,
            help="After `fit`, test the last weights and write runs/<recipe>/<recipe>.ckpt: weights and card alone.",
        )
        parser.add_argument(
            "--overwrite",
            type=bool,
            default=False,
            help="Begin anew where the folder holds a run that has not ended.",
        )
        parser.add_argument(
            "--run_dir", type=str, help="where the run writes (runs/<recipe>); one for each seed"
        )
        parser.add_argument(
            "--checkpoint_every_minutes", type=float, default=5.0, help=SAVE_HELP.format("minutes")
        )
        parser.add_argument(
            "--checkpoint_every_steps", type=int, default=0, help=SAVE_HELP.format("steps")
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        try:
            super().parse_arguments(parser, args)
        except ArgumentError as error:
            held = self._subcommand_parsers.get(self.args[0], parser)
            options = [name for action in held._actions for name in action.option_strings]  # noqa: SLF001 - argparse's
            raise OptionError(format_option_error(str(error), options)) from None
        if asked := self.config.get("fit"):
            self._check(asked)

    def _single(self) -> dict[str, int]:
        """Limits of one batch, where `1` is written; the parser takes it for 1.0, all of them."""
        words = pairwise(part for arg in self.args for part in arg.split("=", 1))
        given = [option.removeprefix("--trainer.") for option, value in words if value == "1"]
        return {name: 1 for name in given if re.fullmatch(r"limit_\w+_batches", name)}

    def _check(self, asked: Any) -> None:
        """Raises ValueError for settings under which nothing, or no end, would be trained."""
        limits = asked["trainer"]
        if 0 in (limits["max_epochs"], limits["max_steps"], limits["limit_train_batches"]):
            raise ValueError(
                "0 epochs or batches train nothing: give --trainer.max_epochs 1 or more."
            )
        if limits["max_epochs"] == -1 and limits["max_steps"] == -1:
            raise ValueError("A schedule needs an end: give --trainer.max_epochs 1 or more.")
        for name, least in MINIMUMS.items():
            if (value := limits[name]) is not None and value < least:
                raise ValueError(
                    f"{name} is {least} or more, not {value}: leave --trainer.{name} out for Lightning's own."
                )
        if min(asked["checkpoint_every_minutes"], asked["checkpoint_every_steps"]) < 0:
            raise ValueError(
                "checkpoint_every_minutes and checkpoint_every_steps are 0 or more: 0 saves at the end of each epoch alone."
            )

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        for callback in self.trainer_defaults["callbacks"]:
            if isinstance(callback, LastCheckpoint):
                callback.every_minutes = self._get(self.config_init, "checkpoint_every_minutes")
                callback.every_steps = self._get(self.config_init, "checkpoint_every_steps")
            if isinstance(callback, ResumeConfigCallback):
                callback.settings = self.settings
        if self._get(self.config_init, "trainer").get("enable_progress_bar") is not False:
            self.trainer_defaults["callbacks"].append(TQDMProgressBar(refresh_rate=50))
        if self.subcommand != "fit":  # what a run has written of itself stays as it is
            kwargs["logger"] = False
            self.save_config_callback = None
        try:
            return super().instantiate_trainer(**kwargs | self._single())
        except TypeError as error:  # Lightning's answer to some numbers that make no sense
            raise ValueError(
                f"{str(error).splitlines()[0].rstrip('.')}: see to the --trainer options."
            ) from error

    def _parse_ckpt_path(self) -> None:
        """Open the checkpoint with our own reader before anything is built.

        Lightning would put the file's hyperparameters over the recipe and import what they name; here the recipe and
        the command line decide, and a file of another model is refused.
        """
        subcommand = self.config["subcommand"]
        config = self.config[subcommand]
        path, model = config.get("ckpt_path"), config["model"]
        self.weights: dict[str, Tensor] | None = None
        self.opened: ModelCard | None = None
        self.settings = run_config(config) | {EXTENDED_KEY: False}
        if not path and subcommand == "fit":
            if not config["overwrite"] and not config["trainer"]["fast_dev_run"]:
                check_no_unfinished_run(self.run_dir / "last.ckpt")
            return
        if path == "last":  # Lightning's own takes any last*.ckpt
            path = str(self.run_dir / "last.ckpt")
        if not path:
            raise ValueError(
                "Say which weights: --ckpt_path FILE, or the name of a model that ships."
            )
        if subcommand == "fit":
            config["ckpt_path"] = path
            card = read_card(Path(path))
        else:
            opened = load_checkpoint(
                path, model["arch"] if ":" in model["arch"] else None
            )  # the user's own words
            card, self.weights = opened.card, opened.model.state_dict()
        self.opened = card
        options = resolve_model_kwargs(model["arch"], model.get("model_kwargs") or {})
        if (card.arch, card.model_kwargs) != (model["arch"], options):
            raise ValueError(
                f"{path} holds {describe_model(card.arch, card.model_kwargs)} and the recipe builds {describe_model(model['arch'], options)}: "
                f"give the recipe of {card.arch}."
            )
        if subcommand == "fit":
            check_resumable(Path(path), self.settings)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        classes = self.model.hparams["num_classes"]
        if self.opened and len(self.opened.class_names) != classes:
            raise ValueError(
                f"The checkpoint tells {len(self.opened.class_names):,} classes apart and the data has {classes:,}: give "
                "the data that it was trained on, or begin anew without --ckpt_path."
            )
        if self.weights is not None:
            self.model.model.load_state_dict(self.weights)
            kwargs["ckpt_path"] = None
        return kwargs | {"weights_only": True}  # never a full pickle, whatever the environment says

    def fit(self, **kwargs: Any) -> None:
        """Train; a disk that is full says so in a sentence, whatever was being written."""
        try:
            with lock_run_dir(self.run_dir) if self.trainer.is_global_zero else nullcontext():
                self.trainer.fit(**kwargs)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise CheckpointError(
                f"The run stopped because a file could not be written ({error.strerror}): free some space, then go on "
                "with --ckpt_path last."
            ) from error
        finally:
            if (
                self.trainer.is_global_zero
                and not self.trainer.global_step
                and self.trainer.log_dir
            ):
                remove_empty_log_dir(Path(self.trainer.log_dir))

    def after_fit(self) -> None:
        """Test the last weights and write the small file: weights and card, no optimizer."""
        trial = getattr(self.trainer, "fast_dev_run", False)
        skipped = trial or self.trainer.interrupted or self.trainer.limit_test_batches == 0
        if not self._get(self.config, "test_at_end") or skipped:
            return
        self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)
        path = self.run_dir / f"{self.recipe}.ckpt"
        save_final_checkpoint(self.trainer, path)
        if self.trainer.is_global_zero:
            self.write_run_record(read_card(path))
            accuracy = float(self.trainer.callback_metrics["test_accuracy"])
            count = self.trainer.current_epoch
            print(
                f"{path}: {accuracy:.2%} of the test images right after {count} epoch{'s' * (count != 1)}"
            )

    def write_run_record(self, card: ModelCard) -> None:
        """Write what the run did, for `RESULTS.md`, where it is a result."""
        seed, path = self._get(self.config, "seed_everything"), self.run_dir / "record.json"
        if why := incomplete_reason(self.trainer, seed, self.settings.get(EXTENDED_KEY, False)):
            path.unlink(missing_ok=True)
            print(f"The run leaves no record: {why}.")
            return
        count = sum(weight.numel() for weight in self.model.model.parameters())
        RunRecord.from_card(card, count, seed, reproduce_command(self.args, self.recipe)).write(
            path
        )

    def predict(self, **kwargs: Any) -> None:
        """Write runs/<recipe>/predictions.csv: image, class, probability, for the test set in order."""
        if self.trainer.world_size > 1:  # each would have every so many-eth image
            raise ValueError(
                "predict works in one process: add --trainer.devices 1 --trainer.num_nodes 1."
            )
        kwargs["return_predictions"] = True
        batches = self.trainer.predict(**kwargs)
        if not batches or not self.trainer.is_global_zero:
            return
        sure, chosen = torch.cat(batches).max(1)  # type: ignore[arg-type]
        self.run_dir.mkdir(parents=True, exist_ok=True)
        with (self.run_dir / "predictions.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("image", "class", "probability"))
            for place, (share, label) in enumerate(
                zip(sure.tolist(), chosen.tolist(), strict=True)
            ):
                rows.writerow((place, self.datamodule.classes[label], f"{share:.4f}"))
        print(f"{self.run_dir / 'predictions.csv'}: {len(sure)} predictions")
