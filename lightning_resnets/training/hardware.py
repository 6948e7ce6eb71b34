"""Hardware of a run: its name for the model card, and the precision and layout that are fast."""

import platform
from pathlib import Path

import lightning as L
import torch
from torch import Tensor

CPUINFO = Path("/proc/cpuinfo")

# Flags of x86 processors and, the last one, of Arm processors that compute in bfloat16.
BF16_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def read_cpuinfo(entry: str) -> str:
    """Return the first value of an entry of Linux's list of processors.

    Args:
        entry: start of the line, for example "model name".

    Returns:
        The value; "" if there is none.
    """
    # Only Linux has this file.
    if not CPUINFO.is_file():
        return ""
    for line in CPUINFO.read_text().splitlines():
        if line.startswith(entry):
            return line.split(":", 1)[1].strip()
    return ""


def describe_hardware(trainer: L.Trainer) -> str:
    """Describe the GPUs, or the processor and the number of its threads in use.

    Args:
        trainer: the trainer of the run.

    Returns:
        For example "2 x NVIDIA H100" or "CPU AMD EPYC, 2 thread(s)".
    """
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}"
    # Arm processors have no model name there, and processor() may be empty.
    name = read_cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{device.type.upper()} {name}, {trainer.world_size * torch.get_num_threads()} thread(s)"


def default_precision() -> str:
    """Choose bfloat16 where the hardware computes in it, else float32.

    On a processor with such units it is twice as fast. On one without them it is emulated, and
    slow.

    Returns:
        Lightning's name of the precision.
    """
    if torch.cuda.is_available():
        # Older GPUs emulate it.
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        flags = f"{read_cpuinfo('flags')} {read_cpuinfo('Features')}".split()
        has_bf16 = not BF16_CPU_FLAGS.isdisjoint(flags)
    return "bf16-mixed" if has_bf16 else "32-true"


def to_channels_last(images: Tensor) -> Tensor:
    """Store images with channels last, which makes convolutions fast on every device.

    The weights stay contiguous: pruning and `parameters_to_vector` view them as vectors.

    Args:
        images: (N, C, H, W).

    Returns:
        The same images.
    """
    return images.contiguous(memory_format=torch.channels_last)
