"""Tests of what a user reads when a device runs out of memory."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_resnets.cli.main import main
from lightning_resnets.training.callbacks.out_of_memory import OUT_OF_MEMORY_HINT
from lightning_resnets.training.image_classifier import ImageClassifier
from lightning_resnets.utils.out_of_memory import describe_out_of_memory, is_out_of_memory
from tests.helpers.few_images import Few, trainer

CUDA_MESSAGE = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139.80 GiB of "
    "which 1.06 GiB is free. Of the allocated memory 138 GiB is allocated by PyTorch."
)

ERRORS = [
    torch.OutOfMemoryError(CUDA_MESSAGE),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB). Tried to allocate 1 GB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes."),
]


@pytest.mark.parametrize("error", ERRORS)
def test_out_of_memory_is_recognized_on_every_device(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError(str(error)))


def fail_at_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second backward pass of any module run out of memory."""
    calls: list[int] = []
    backward = ImageClassifier.backward

    def fail(self: ImageClassifier, *args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise torch.OutOfMemoryError(CUDA_MESSAGE)
        backward(self, *args, **kwargs)

    monkeypatch.setattr(ImageClassifier, "backward", fail)


def test_script_keeps_the_exception_and_gets_one_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at_backward(monkeypatch)
    run = trainer(tmp_path, max_epochs=1)
    module = ImageClassifier("resnet20", lr=0.05)
    run.validate(module, datamodule=Few(num_val_images=10), verbose=False)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        run.fit(module, datamodule=Few(batch_size=16))
    assert caught.value.__notes__ == [OUT_OF_MEMORY_HINT]


def test_command_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fail_at_backward(monkeypatch)
    quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    small = ["--data", "tests.helpers.few_images.Few", "--data.batch_size", "16"]
    with pytest.raises(SystemExit) as caught:
        main(["fit", "--config", "demo", *quiet, *small, "--trainer.precision", "32-true"])
    assert caught.value.code == (
        "lightning-resnets: CUDA out of memory. Tried to allocate 2.00 GiB. " + OUT_OF_MEMORY_HINT
    )


def test_other_commands_name_the_batch_size() -> None:
    assert describe_out_of_memory(torch.OutOfMemoryError(CUDA_MESSAGE)) == (
        "CUDA out of memory. Tried to allocate 2.00 GiB. Use a smaller batch size."
    )
