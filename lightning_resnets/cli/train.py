"""`lightning-resnets fit`, `validate`, `test` and `predict`: LightningCLI with recipes."""

import errno
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning as L
import torch
from jsonargparse import Namespace
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar
from torch import Tensor

from lightning_resnets.checkpoint.load import load_checkpoint, read_card
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.cli.fit_options import single_batch_limits
from lightning_resnets.cli.predictions import write_predictions
from lightning_resnets.cli.recipe_cli import RecipeCLI
from lightning_resnets.cli.resume_checks import (
    check_no_unfinished_run,
    check_resumable,
    check_same_model,
    damaged_error,
    find_best_checkpoint,
    is_restore_error,
)
from lightning_resnets.errors import CheckpointError, OptionError
from lightning_resnets.training.callbacks.checkpointing import LastCheckpoint
from lightning_resnets.training.callbacks.resume_config import (
    EXTENDED_KEY,
    ResumeConfigCallback,
    run_config,
)
from lightning_resnets.training.run_dir import (
    lock_run_dir,
    remove_empty_log_dir,
    save_final_checkpoint,
)
from lightning_resnets.training.run_record import RunRecord, incomplete_reason, reproduce_command
from lightning_resnets.training.trainer_defaults import trainer_defaults
from lightning_resnets.utils.atomic_write import atomic_write_text
from lightning_resnets.utils.format import plural
from lightning_resnets.utils.parameters import count_parameters

DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

PROGRESS_REFRESH_RATE = 50  # batches

CSV_LOG_NAME = "metrics.csv"  # in the log folder of CSVLogger

# Start of EarlyStopping's message about a metric that nobody logs
UNKNOWN_MONITOR = "Early stopping conditioned on metric"

# What damaged values raise when Lightning restores them.
RESTORE_ERRORS = (AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class TrainingCLI(RecipeCLI):
    """Run `fit`, `validate`, `test` or `predict` with a recipe; files go to `runs/RECIPE/`."""

    weights: dict[str, Tensor] | None = None
    card: ModelCard | None = None

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Build the Trainer with our callbacks.

        Args:
            kwargs: arguments of the Trainer that override the configuration.

        Returns:
            The Trainer.

        Raises:
            ValueError: Lightning does not accept a value.
        """
        self._configure_callbacks()
        # Evaluating a run must not change its logs and configuration.
        if self.subcommand != "fit":
            kwargs["logger"] = False
            self.save_config_callback = None
        try:
            return super().instantiate_trainer(**kwargs | single_batch_limits(self.args))
        except TypeError as error:
            # Lightning does not check every number before it uses it.
            reason = str(error).splitlines()[0].rstrip(".")
            raise ValueError(f"{reason}. Check the --trainer options.") from error

    def _configure_callbacks(self) -> None:
        """Hand the parsed options to the callbacks, and add the progress bar."""
        callbacks = self.trainer_defaults["callbacks"]
        for callback in callbacks:
            if isinstance(callback, LastCheckpoint):
                callback.every_minutes = self._get(self.config_init, "checkpoint_every_minutes")
                callback.every_steps = self._get(self.config_init, "checkpoint_every_steps")
            if isinstance(callback, ResumeConfigCallback):
                callback.settings = self.settings
        trainer = self._get(self.config_init, "trainer")
        own_callbacks = trainer.get("callbacks") or []
        if not isinstance(own_callbacks, list):
            own_callbacks = [own_callbacks]
        # Lightning allows one progress bar: one in the recipe replaces ours.
        has_own_bar = any(isinstance(callback, ProgressBar) for callback in own_callbacks)
        if trainer.get("enable_progress_bar") is not False and not has_own_bar:
            callbacks.append(TQDMProgressBar(refresh_rate=PROGRESS_REFRESH_RATE))

    def _parse_ckpt_path(self) -> None:
        """Open the checkpoint with our own reader before anything is built.

        Lightning's version would override the recipe with the file's hyperparameters and import
        the classes that they name.
        """
        config = self.config[self.config["subcommand"]]
        self.settings = run_config(config) | {EXTENDED_KEY: False}
        if self.config["subcommand"] != "fit":
            self._load_weights(config)
        elif config.get("ckpt_path"):
            self._check_resume(config)
        elif not config["overwrite"] and not config["trainer"]["fast_dev_run"]:
            check_no_unfinished_run(self.run_dir / "last.ckpt")

    def _check_resume(self, config: dict[str, Any]) -> None:
        """Check that `fit` can resume from the checkpoint, and pass its path on to Lightning."""
        path = self._checkpoint_path(config)
        config["ckpt_path"] = str(path)
        self.card = read_card(path)
        check_same_model(path, self.card, config["model"])
        info = check_resumable(path, self.settings)
        self.settings[EXTENDED_KEY] = info.is_extended
        # One log for each run: its own folder, not the next version.
        logger = config["trainer"].get("logger")
        is_own_run = path.resolve().parent == self.run_dir.resolve()
        if is_own_run and info.log_version is not None and _is_default_logger(logger, self.run_dir):
            logger["init_args"]["version"] = info.log_version

    def _load_weights(self, config: dict[str, Any]) -> None:
        """Load the weights to evaluate."""
        if not config.get("ckpt_path"):
            raise ValueError(
                "Missing --ckpt_path: give a checkpoint file or a bundled model's name."
            )
        path = self._checkpoint_path(config)
        arch = config["model"]["arch"]
        # A custom model's code runs only if the user gave its name, module:function.
        loaded = load_checkpoint(path, arch if ":" in arch else None)
        self.card = loaded.card
        self.weights = loaded.model.state_dict()
        check_same_model(path, self.card, config["model"])

    def _checkpoint_path(self, config: dict[str, Any]) -> Path:
        """Return the path of `--ckpt_path`."""
        path = config["ckpt_path"]
        if path == "best":
            return find_best_checkpoint(self.run_dir)
        # Lightning's own "last" takes any file named last*.ckpt.
        if path == "last":
            return self.run_dir / "last.ckpt"
        return Path(path)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        """Return the arguments of `Trainer.fit` and the like, with our weights in the model."""
        kwargs = super()._prepare_subcommand_kwargs(subcommand)
        num_classes = self.model.hparams["num_classes"]
        if self.card and len(self.card.class_names) != num_classes:
            raise ValueError(
                f"The checkpoint has {len(self.card.class_names):,} classes but the dataset has "
                f"{num_classes:,}. Use its own dataset, or start again without --ckpt_path."
            )
        if self.weights is not None:
            # Lightning would load the file again, with its own rules.
            self.model.model.load_state_dict(self.weights)
            kwargs["ckpt_path"] = None
        # Never unpickle a whole file, even if the environment asks for it.
        return kwargs | {"weights_only": True}

    def fit(self, **kwargs: Any) -> None:
        """Train, holding a lock on the run folder.

        Args:
            kwargs: arguments of `Trainer.fit`.

        Raises:
            CheckpointError: the disk is full.
            ValueError: another process writes to the run folder.
        """
        try:
            with lock_run_dir(self.run_dir) if self.trainer.is_global_zero else nullcontext():
                self._fit_locked(kwargs)
        except RESTORE_ERRORS as error:
            if is_restore_error(error):
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                raise damaged_error(str(kwargs["ckpt_path"]), reason) from error
            if UNKNOWN_MONITOR in str(error):
                raise OptionError(str(error)) from error
            raise
        except OSError as error:
            if error.errno not in DISK_FULL_ERRORS:
                raise
            raise _disk_full_error(error) from error

    def _fit_locked(self, kwargs: dict[str, Any]) -> None:
        """Train, and leave the log as it was if the run fails before its first step."""
        log_dir = self.trainer.log_dir
        if not self.trainer.is_global_zero or log_dir is None:
            self.trainer.fit(**kwargs)
            return
        log = Path(log_dir) / CSV_LOG_NAME
        rows = log.read_text() if log.is_file() else ""
        try:
            self.trainer.fit(**kwargs)
        finally:
            # Lightning deletes the log that a run resumes, before the checkpoint is read.
            if rows and not log.is_file():
                atomic_write_text(log, rows)
            if not self.trainer.global_step:
                remove_empty_log_dir(Path(log_dir))

    def after_fit(self) -> None:
        """Test the last weights and write RECIPE.ckpt: weights and model card, no optimizer."""
        is_trial = getattr(self.trainer, "fast_dev_run", False)
        # The weights of an interrupted run are in last.ckpt.
        if is_trial or self.trainer.interrupted or self.trainer.limit_test_batches == 0:
            return
        if not self._get(self.config, "test_at_end"):
            return
        self.trainer.test(self.model, datamodule=self.datamodule, verbose=False)
        path = self.run_dir / f"{self.recipe}.ckpt"
        save_final_checkpoint(self.trainer, path)
        if self.trainer.is_global_zero:
            self.write_run_record(read_card(path))
            accuracy = float(self.trainer.callback_metrics["test_accuracy"])
            epochs = plural(self.trainer.current_epoch, "epoch")
            print(f"{path}: {accuracy:.2%} test accuracy after {epochs}")

    def write_run_record(self, card: ModelCard) -> None:
        """Write record.json for docs/results.md, or say why the run is not a result.

        Args:
            card: model card of the final checkpoint.
        """
        path = self.run_dir / "record.json"
        seed = self._get(self.config, "seed_everything")
        reason = incomplete_reason(self.trainer, seed, self.settings[EXTENDED_KEY])
        if reason:
            path.unlink(missing_ok=True)
            print(f"No record.json: {reason}.")
            return
        command = reproduce_command(self.args, self.recipe)
        count = count_parameters(self.model.model)
        RunRecord.from_card(card, count, seed, command).write(path)

    def predict(self, **kwargs: Any) -> None:
        """Write predictions.csv for the test images.

        Args:
            kwargs: arguments of `Trainer.predict`.

        Raises:
            ValueError: several processes would each see only a part of the images.
        """
        if self.trainer.world_size > 1:
            raise ValueError(
                "predict needs a single process: add --trainer.devices 1 --trainer.num_nodes 1."
            )
        kwargs["return_predictions"] = True
        batches = self.trainer.predict(**kwargs)
        if not batches or not self.trainer.is_global_zero:
            return
        probabilities = torch.cat(batches)  # type: ignore[arg-type] - a list of (N, K) tensors
        path = self.run_dir / "predictions.csv"
        write_predictions(path, probabilities, self.datamodule.class_names)
        print(f"{path}: {plural(len(probabilities), 'prediction')}")


def _is_default_logger(logger: Any, run_dir: Path) -> bool:
    """Return True if a configured logger is our default: CSVLogger in the run folder."""
    default = trainer_defaults("", run_dir)["logger"]
    # A Trainer may have several loggers, or none.
    if not isinstance(logger, Namespace):
        return False
    options = logger["init_args"]
    names = default["init_args"].items()
    is_same_place = all(options.get(name) == value for name, value in names)
    return logger["class_path"] == default["class_path"] and is_same_place


def _disk_full_error(error: OSError) -> CheckpointError:
    """Build the error about a file that could not be written."""
    return CheckpointError(
        f"Training stopped because a file could not be written ({error.strerror}). "
        "Free some disk space, then resume with --ckpt_path last."
    )
