"""What a run computes on: its name for the card, and the precision that is fast there."""

import platform
from pathlib import Path

import lightning as L
import torch

CPUINFO = Path("/proc/cpuinfo")


BF16_CPU_FLAGS = {
    "avx512_bf16",
    "amx_bf16",
    "bf16",
}  # flags of x86 and, the last, of Arm processors that compute in it


def read_cpuinfo(entry: str) -> str:
    """The first value of an entry of Linux's list of processors, empty elsewhere."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(entry)), "")


def describe_hardware(trainer: L.Trainer) -> str:
    """The GPUs, or the processor and the threads taken of it."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return f"{trainer.world_size} x {torch.cuda.get_device_name(device)}"
    name = read_cpuinfo("model name") or platform.processor() or platform.machine()
    return f"{device.type.upper()} {name}, {trainer.world_size * torch.get_num_threads()} thread(s)"


def default_precision() -> str:
    """Lightning's word for the precision to train in: bfloat16 where the hardware computes in it, else float32.

    On a processor with such units it is twice as fast; on one without them it is emulated, and slow.
    """
    if torch.cuda.is_available():
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
        )
    flags = f"{read_cpuinfo('flags')} {read_cpuinfo('Features')}".split()
    return "bf16-mixed" if BF16_CPU_FLAGS & set(flags) else "32-true"
