"""`lightning-resnets fit`, `validate`, `test` and `predict`: LightningCLI with recipes."""

import errno
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
from lightning_resnets.cli.fit_options import (
    FIT_OPTIONS,
    check_fit_options,
    single_batch_limits,
)
from lightning_resnets.cli.option_errors import format_option_error
from lightning_resnets.cli.predictions import write_predictions
from lightning_resnets.cli.resume_checks import (
    check_no_unfinished_run,
    check_resumable,
    check_same_model,
)
from lightning_resnets.errors import CheckpointError, OptionError
from lightning_resnets.training.callbacks.checkpointing import LastCheckpoint
from lightning_resnets.training.callbacks.resume_config import (
    EXTENDED_KEY,
    ResumeConfigCallback,
    run_config,
)
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.run_dir import (
    lock_run_dir,
    remove_empty_log_dir,
    save_final_checkpoint,
)
from lightning_resnets.training.run_record import RunRecord, incomplete_reason, reproduce_command
from lightning_resnets.training.trainer_defaults import trainer_defaults
from lightning_resnets.utils.format import plural
from lightning_resnets.utils.parameters import count_parameters

DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


PROGRESS_REFRESH_RATE = 50  # batches


class TrainingCLI(LightningCLI):
    """Run `fit`, `validate`, `test` or `predict` with a recipe; files go to `runs/RECIPE/`.

    Args:
        args: command and options, recipes and bundled models already replaced by their files.
        recipe: name of the recipe.

    Raises:
        ValueError: an option is wrong, or the checkpoint does not fit the recipe.
    """

    def __init__(self, args: list[str], recipe: str) -> None:
        self.args = args
        self.recipe = recipe or "run"
        # The Trainer's defaults need the folder before Lightning parses the options.
        self.run_dir = Path(dict(pairwise(args)).get("--run_dir", f"runs/{self.recipe}"))
        self.weights: dict[str, Tensor] | None = None
        self.card: ModelCard | None = None
        # Errors come to us, and a misspelled option is never taken for a longer one.
        strict = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            ImageClassifier,
            L.LightningDataModule,
            parser_kwargs=strict | {name: dict(strict) for name in self.subcommands()},
            subclass_mode_data=True,
            # The module builds its optimizer from `model.optimizer`.
            auto_configure_optimizers=False,
            trainer_defaults=trainer_defaults(self.recipe, self.run_dir),
            seed_everything_default=0,
            # A resumed run writes config.yaml again.
            save_config_kwargs={"overwrite": True},
            args=args,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add our options to Lightning's.

        Args:
            parser: parser of one command.
        """
        parser.link_arguments("data.num_classes", "model.num_classes", apply_on="instantiate")
        for option in FIT_OPTIONS:
            parser.add_argument(
                f"--{option.name}", type=option.type, default=option.default, help=option.help
            )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse the arguments.

        Args:
            parser: parser of all commands.
            args: command and options.

        Raises:
            OptionError: an option does not exist or has a wrong value.
        """
        try:
            super().parse_arguments(parser, args)
        except ArgumentError as error:
            command_parser = self._subcommand_parsers.get(self.args[0], parser)
            options: list[str] = []
            for action in command_parser._actions:  # noqa: SLF001 - argparse has no public list
                options.extend(action.option_strings)
            raise OptionError(format_option_error(str(error), options)) from None
        if config := self.config.get("fit"):
            check_fit_options(config)

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
        if self._get(self.config_init, "trainer").get("enable_progress_bar") is not False:
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
        self.settings[EXTENDED_KEY] = check_resumable(path, self.settings)

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
        # Lightning's own "last" takes any file named last*.ckpt.
        path = config["ckpt_path"]
        return self.run_dir / "last.ckpt" if path == "last" else Path(path)

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
        is_main = self.trainer.is_global_zero
        try:
            with lock_run_dir(self.run_dir) if is_main else nullcontext():
                self.trainer.fit(**kwargs)
        except OSError as error:
            if error.errno not in DISK_FULL_ERRORS:
                raise
            raise CheckpointError(
                f"Training stopped because a file could not be written ({error.strerror}). "
                "Free some disk space, then resume with --ckpt_path last."
            ) from error
        finally:
            # A run that failed before its first step leaves an empty log folder.
            if is_main and not self.trainer.global_step and self.trainer.log_dir:
                remove_empty_log_dir(Path(self.trainer.log_dir))

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
