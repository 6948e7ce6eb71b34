"""Every exception that a user can meet, under one base: `UserError`.

A message says what is wrong, what was given and what to do.
"""

MAX_MODEL_NAME = 80  # characters of a name in a message


def sanitize(text: str) -> str:
    """Replace control characters, which a terminal would obey, by question marks.

    Args:
        text: text that may come from a file.

    Returns:
        The text with printable characters only.
    """
    return "".join(char if char.isprintable() else "?" for char in text)


class UserError(ValueError):
    """Base of all errors whose message is meant for the user and needs no traceback."""


class AnalysisError(UserError):
    """The model or the images do not allow this analysis; the message lists what is available."""


class AnalysisCancelled(Exception):  # noqa: N818 - nothing went wrong
    """Raised by a progress callback to stop an analysis; the model is left unchanged."""


class CheckpointError(UserError):
    """A checkpoint cannot be read or written.

    Control characters of the file never reach the terminal.
    """

    def __init__(self, message: str) -> None:
        super().__init__(sanitize(message))


class UnsupportedFileError(CheckpointError):
    """A file cannot be opened; the message continues a sentence that begins with its name."""


class CustomModelError(CheckpointError):
    """A checkpoint names a custom model, `module:function`, and the user did not.

    Its code runs only if the user passes that name.

    Attributes:
        model: the name, as the checkpoint has it.
    """

    def __init__(self, file: str, model: str) -> None:
        # A name that is too long to print is no name of a module.
        shown = model if len(model) <= MAX_MODEL_NAME else f"{model[: MAX_MODEL_NAME - 1]}…"
        super().__init__(
            f"'{file}' contains a custom model, '{shown}'. "
            f"To import and run that module, pass --model {shown}."
        )
        self.model = model


class CheckpointWarning(UserWarning):
    """Something about a loaded checkpoint that the user should know."""


class DataWarning(UserWarning):
    """Files of a dataset were left out."""


class DataError(UserError):
    """A dataset is missing, damaged or does not match its options."""


class DownloadError(UserError):
    """A file could not be downloaded."""


class GraphError(UserError):
    """A document does not contain a valid graph, or a graph cannot be written as requested."""


class HookPointError(UserError):
    """The model has no module of this name that can be hooked."""


class ImageError(UserError):
    """A file or array cannot be read as an image."""


class ImageWarning(UserWarning):
    """An image was read, but something in its file was not."""


class InvalidArgumentError(UserError):
    """An argument of a function has a wrong type or value."""


class InterventionError(UserError):
    """The model does not allow this intervention."""


class ModelError(UserError):
    """There is no such model, or it does not take these options or weights."""


class OptionError(UserError):
    """A command-line option or its value is not valid."""


class RunInterrupted(SystemExit):
    """The run was asked to stop and has been saved; `code` is 128 + the signal's number."""


class TraceError(UserError):
    """The model's forward pass cannot be traced."""


class TrainingError(UserError):
    """The data, the model and the settings of a training do not fit each other."""


class TrainingDivergedError(UserError):
    """The loss became NaN, infinite or hopelessly large.

    The message names the step and what to try.
    """
