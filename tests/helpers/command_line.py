"""Run the command line in a test."""

import pytest

from lightning_resnets.cli.main import main

SAMPLE_DATA = ["--data", "lightning_resnets.data.CIFAR10Sample"]


QUIET_CPU_TRAINER = [
    "--trainer.accelerator",
    "cpu",
    "--trainer.precision",
    "32-true",
    "--trainer.enable_progress_bar",
    "false",
]


def error_message(args: list[str]) -> str:
    """Run a command that fails, and return its message after checking that it is one line."""
    with pytest.raises(SystemExit) as caught:
        main(args)
    message = caught.value.code
    assert isinstance(message, str), f"expected a message, got exit status {message}"
    assert "\n" not in message
    return message
