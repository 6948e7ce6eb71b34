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
    if not isinstance(logger, CSVLogger):
        return None
    # In all processes but the first, Lightning's stand-in has a function for every attribute.
    path = logger.experiment.metrics_file_path
    if not isinstance(path, str):
        return None
    return Path(path)


def read_csv_rows(logger: Any) -> str:
    """Read the rows that a CSVLogger has written.

    Args:
        logger: any logger; rows that wait in memory are written first.

    Returns:
        Header and rows; "" if there are none.
    """
    logger.save()
    file = csv_log_path(logger)
    if file is None or not file.is_file():
        return ""
    return file.read_text()


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


def log_version(logger: Any) -> str | int | None:
    """Return the version of a CSVLogger's folder, so that a resumed run uses the same one.

    Args:
        logger: any logger.

    Returns:
        The version; None for other loggers.
    """
    if isinstance(logger, CSVLogger):
        return logger.version
    return None
