"""Rows of Lightning's CSVLogger, which starts an empty file each time."""

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger

from lightning_resnets.utils.atomic_write import atomic_write_text


def csv_log_path(logger: Any) -> Path | None:
    """Return the file of a CSVLogger.

    Args:
        logger: any logger.

    Returns:
        The path; None for other loggers, and in processes that do not write the file.
    """
    path = logger.experiment.metrics_file_path if isinstance(logger, CSVLogger) else None
    return Path(path) if isinstance(path, str) else None


def read_csv_rows(logger: Any) -> str:
    """Read the rows that a CSVLogger has written.

    Args:
        logger: any logger; rows that wait in memory are written first.

    Returns:
        Header and rows; "" if there are none.
    """
    logger.save()
    file = csv_log_path(logger)
    return file.read_text() if file and file.is_file() else ""


def restore_csv_rows(logger: Any, text: str) -> None:
    """Start the file of a CSVLogger with the rows of an earlier one.

    Args:
        logger: any logger; others than CSVLogger are left unchanged.
        text: result of `read_csv_rows`.
    """
    file = csv_log_path(logger)
    if file is None or not text:
        return
    atomic_write_text(file, text)
    # The earlier rows may have other columns.
    logger.experiment.metrics_keys = text.partition("\n")[0].strip().split(",")
