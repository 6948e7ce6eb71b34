"""Every exception that a user can meet, under one base: `UserError`.

A message says what is wrong, what was given and what to do.
"""


def sanitize(text: str) -> str:
    """Replace control characters, which a terminal would obey, by question marks."""
    return (
        text
        if text.isprintable()
        else "".join(sign if sign.isprintable() else "?" for sign in text)
    )


class UserError(ValueError):
    """Base of all errors whose message is meant for the user and needs no traceback."""


class AnalysisError(UserError):
    """The model or the images do not allow this analysis; the message lists what is available."""


class AnalysisCancelled(Exception):  # noqa: N818 - nothing went wrong
    """Raised by a progress callback to stop an analysis; the model is left unchanged."""


class CheckpointError(UserError):
    """A checkpoint cannot be read or written; control characters of the file never reach the terminal."""

    def __init__(self, message: str) -> None:
        super().__init__(sanitize(message))


class UnsupportedFileError(CheckpointError):  # noqa: N818 - as in: raise Refused("is empty")
    """A file cannot be opened; the message continues a sentence that begins with the file's name."""


class CustomModelError(CheckpointError):
    """A checkpoint names a custom model, `module:function`, whose code runs only if the user passes that name."""

    def __init__(self, file: str, model: str) -> None:
        super().__init__(
            f"'{file}' contains a custom model, '{model}'. To import and run that module, pass --model {model}."
        )
        self.model = model


class CheckpointWarning(UserWarning):
    """Something about a loaded checkpoint that the user should know."""


class DataError(UserError):
    """A dataset is missing, damaged or does not match its options."""


class DownloadError(UserError):
    """A file could not be downloaded."""


class GraphError(UserError):
    """A document does not hold a valid graph, or a graph cannot be written as asked."""


class HookPointError(UserError):
    """The model has no module of this name that can be hooked."""


class ImageError(UserError):
    """A file or array cannot be read as an image."""


class InterventionError(UserError):
    """The model does not allow this intervention."""


class OptionError(UserError):
    """A command-line option or its value is not valid."""


class RunInterrupted(SystemExit):
    """The run was asked to stop and has been saved; `code` is 128 + the signal's number."""


class TraceError(UserError):
    """The model's forward pass cannot be traced."""


class TrainingDivergedError(UserError):
    """The loss became NaN, infinite or hopelessly large; the message names the step and what to try."""
