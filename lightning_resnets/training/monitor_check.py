"""Check before the first step that callbacks can monitor the metrics that they name."""

from typing import Any

import lightning as L

from lightning_resnets.errors import DataError

VALIDATION_PREFIX = "val_"


def check_monitored_metrics(trainer: L.Trainer) -> None:
    """Check that there is validation if a callback monitors a metric of it.

    Lightning finds out only after the first epoch.

    Args:
        trainer: Trainer at the start of `fit`.

    Raises:
        DataError: EarlyStopping, ModelCheckpoint or the like would find no such metric.
    """
    if has_validation(trainer):
        return
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        # EarlyStopping(strict=False) accepts that its metric is missing.
        is_strict = getattr(callback, "strict", True)
        if is_strict and isinstance(monitor, str) and monitor.startswith(VALIDATION_PREFIX):
            name = type(callback).__name__
            raise DataError(
                f"{name} monitors {monitor}, but the run has no validation images. Set their "
                "number, for example --data.num_val_images 1000, or monitor "
                f"train_{monitor.removeprefix(VALIDATION_PREFIX)}."
            )


def has_validation(trainer: L.Trainer) -> bool:
    """Return whether a run validates.

    Args:
        trainer: Trainer at the start of `fit`.

    Returns:
        False without validation loader or validation images.
    """
    datamodule = getattr(trainer, "datamodule", None)
    # Only our datamodules have this attribute; of others it is assumed that they validate.
    return trainer.enable_validation and getattr(datamodule, "num_val_images", 1) != 0
