"""What benchmarks measured: kept as JSON in `benchmarks/results/`, shown on one page.

`python -m benchmarks.report` writes `benchmarks/README.md`, so that no figure there is written by hand.
"""

import argparse
import importlib
import json
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent
HEAD = """# What was measured

Speeds are ratios within one run, each way in turns: machines differ and are shared. Made by
`python -m benchmarks.report` of the files in `results/`, which the benchmarks write with `--save`.
"""


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures were measured on, without its name or place."""
    from lightning_resnets.training.hardware import read_cpuinfo

    return {
        "kind": device.type,
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else read_cpuinfo("model name"),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "lightning": version("lightning"),
    }


def save(name: str, report: dict[str, Any]) -> Path:
    """Keep a report as the newest of its benchmark on this kind of device."""
    path = FOLDER / "results" / f"{name}.{report['machine']['kind']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    return path


def outputs(parser: argparse.ArgumentParser) -> None:
    """The options of every benchmark that `finish` heeds."""
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object as the last line"
    )
    parser.add_argument(
        "--save", action="store_true", help="keep the figures for the page of results"
    )


def finish(name: str, report: dict[str, Any], given: argparse.Namespace) -> None:
    """Keep the report and print it, as far as that was asked for."""
    if given.save:
        save(name, report)
    if given.json:
        print(json.dumps(report))


def page() -> str:
    """The whole of `benchmarks/README.md`: a section a report, with what its benchmark says of itself."""
    parts = [HEAD]
    for path in sorted((FOLDER / "results").glob("*.json")):
        report = json.loads(path.read_text())
        name = path.name.partition(".")[0]
        about = importlib.import_module(f"benchmarks.{name}").__doc__ or ""
        parts.append(
            f"## {name}: {about.strip().splitlines()[0]}\n\n`python -m benchmarks.{name}`\n\n{table(report)}"
        )
    return "\n".join(parts)


def table(report: dict[str, Any]) -> str:
    """Every plain figure of a report, nested names joined by dots; lists of rounds are left to the file."""
    lines = "".join(f"| {name} | {value} |\n" for name, value in flat(report))
    return f"| what | figure |\n|---|---|\n{lines}"


def flat(report: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in report.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield f"{prefix}{name}", f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        elif not isinstance(value, list):
            yield f"{prefix}{name}", str(value)


def main() -> None:
    (FOLDER / "README.md").write_text(page())


if __name__ == "__main__":
    main()
