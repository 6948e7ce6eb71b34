"""Say what to change when a device runs out of memory."""

import lightning as L
from lightning.pytorch.callbacks import Callback

from lightning_resnets.utils.out_of_memory import is_out_of_memory

OUT_OF_MEMORY_HINT = (
    "Use a smaller batch size (--data.batch_size, with --trainer.accumulate_grad_batches for the "
    "same steps) or --trainer.precision bf16-mixed."
)


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
