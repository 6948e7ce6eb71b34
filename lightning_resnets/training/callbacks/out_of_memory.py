"""Say what to change when a device runs out of memory."""

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback

OUT_OF_MEMORY_HINT = (
    "The device is out of memory. Use a smaller batch size (--data.batch_size, with "
    "--trainer.accumulate_grad_batches for the same steps) or --trainer.precision bf16-mixed."
)

# Beginnings of torch's messages on devices that have no exception of their own for this.
MESSAGES = ("MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device ran out of memory.

    Args:
        error: any exception.

    Returns:
        True for torch's exceptions on a GPU, and for its messages on other devices.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in MESSAGES)


class OutOfMemoryHint(Callback):
    """Add `OUT_OF_MEMORY_HINT` to the exception when a device runs out of memory.

    The exception stays torch's, because Lightning's batch size finder waits for it.
    """

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Add the hint as a note, which Python prints below the message.

        Args:
            trainer: unused.
            pl_module: unused.
            exception: whatever ended the run.
        """
        if is_out_of_memory(exception):
            exception.add_note(OUT_OF_MEMORY_HINT)
