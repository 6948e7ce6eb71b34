"""Tell why a run ended before its last epoch."""

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, Timer

# Reason of a run that another callback than EarlyStopping has stopped.
UNKNOWN_REASON = "by a callback"


def stop_reason(trainer: L.Trainer) -> str:
    """Return why a run ends before its last epoch, if a callback has ended it for good.

    Args:
        trainer: Trainer at the end of an epoch.

    Returns:
        The reason; "" if the run goes on, or if only its time is up.
    """
    # `min_epochs` and `min_steps` may postpone the end.
    if not trainer.should_stop or not trainer.fit_loop._can_stop_early:  # noqa: SLF001
        return ""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
            return callback.stopping_reason_message
    # A run may get more time.
    if any(isinstance(callback, Timer) for callback in callbacks):
        return ""
    return UNKNOWN_REASON
