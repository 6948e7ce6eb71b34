"""Recognize that a device ran out of memory, without importing torch."""

# Torch's messages on devices that have no exception of their own for this.
MESSAGES = ("MPS backend out of memory", "DefaultCPUAllocator: can't allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a device ran out of memory.

    Args:
        error: any exception.

    Returns:
        True for torch's OutOfMemoryError, and for its messages on other devices than GPUs.
    """
    if type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in MESSAGES)


def describe_out_of_memory(error: BaseException) -> str:
    """Describe the error in one line.

    Args:
        error: an exception for which `is_out_of_memory` is true.

    Returns:
        The first sentences of torch's message, and the notes of the exception, which say what to
        change; without notes, to use a smaller batch size.
    """
    # The statistics of torch's allocator follow.
    problem = str(error).splitlines()[0].partition(" GPU ")[0].rstrip(". ")
    notes = getattr(error, "__notes__", None) or ["Use a smaller batch size."]
    return f"{problem}. {' '.join(notes)}"
