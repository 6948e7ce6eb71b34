"""Parse a recipe and the options of a training command, and build model, data and Trainer."""

from pathlib import Path
from typing import Any

import lightning as L
from jsonargparse import ArgumentError
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from lightning_resnets.cli.fit_options import FIT_OPTIONS, check_fit_options
from lightning_resnets.cli.option_errors import format_build_error, format_option_error
from lightning_resnets.cli.recipe_trust import (
    check_arch,
    denied_names,
    restrict_imports,
    untrusted_error,
)
from lightning_resnets.errors import OptionError, UserError
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.training.trainer_defaults import trainer_defaults


class RecipeCLI(LightningCLI):
    """Parse the options of a training command, and build what they name; subclasses run it.

    Args:
        args: command and options, recipes and bundled models already replaced by their files.
        recipe: name of the recipe.
        trusts_recipe: True if the recipe may name any code, see `recipe_trust`.

    Raises:
        ValueError: an option is wrong, or the checkpoint does not fit the recipe.
    """

    def __init__(self, args: list[str], recipe: str, trusts_recipe: bool = False) -> None:
        self.args = args
        self.recipe = recipe or "run"
        self.trusts_recipe = trusts_recipe
        # A recipe or an option may set another folder.
        self.run_dir = Path("runs") / self.recipe
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
            OptionError: an option does not exist or has a wrong value, or the recipe names code
                that the user did not.
        """
        # Printing the configuration ends the process, before its run folder is known.
        silent_args = [arg for arg in args if not arg.startswith("--print_config")]
        config = self._parse(parser, silent_args)
        if config["run_dir"]:
            self.run_dir = Path(config["run_dir"]).expanduser()
        self.trainer_defaults = trainer_defaults(self.recipe, self.run_dir)
        # The defaults of the Trainer depend on the folder.
        if config["run_dir"] or silent_args != args:
            self._set_trainer_defaults()
            config = self._parse(parser, args)
        check_arch(config["model"]["arch"], self.args, self.trusts_recipe)
        if self.args[0] == "fit":
            check_fit_options(config)

    def _parse(self, parser: LightningArgumentParser, args: list[str]) -> Any:
        """Parse the arguments and return the options of the command."""
        command = self.args[0]
        try:
            with restrict_imports(self.args, self.trusts_recipe):
                super().parse_arguments(parser, args)
        except ArgumentError as error:
            for name in denied_names(str(error)):
                raise untrusted_error(name) from None
            command_parser = self._subcommand_parsers.get(command, parser)
            options: list[str] = []
            for action in command_parser._actions:  # noqa: SLF001 - argparse has no public list
                options.extend(action.option_strings)
            raise OptionError(format_option_error(str(error), options)) from None
        return self.config[command]

    def _set_trainer_defaults(self) -> None:
        """Set the defaults of the Trainer's options in the parser of the command."""
        defaults = self.trainer_defaults.items()
        values = {f"trainer.{name}": value for name, value in defaults if name != "callbacks"}
        self._subcommand_parsers[self.args[0]].set_defaults(values)

    def instantiate_classes(self) -> None:
        """Build datamodule, model and Trainer.

        Raises:
            OptionError: a class cannot be built, for example because its package is missing.
        """
        try:
            with restrict_imports(self.args, self.trusts_recipe):
                super().instantiate_classes()
        except (ArgumentError, ValueError) as error:
            for name in denied_names(str(error)):
                raise untrusted_error(name) from None
            reason = None if isinstance(error, UserError) else format_build_error(str(error))
            if reason is None:
                raise
            raise OptionError(reason) from error
