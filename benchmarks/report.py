"""Store benchmark results as JSON and render `benchmarks/README.md` from them.

`python -m benchmarks.report` writes the page, so that no number on it is typed by hand. `--check`
compares only."""

import argparse
import json
import platform
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent
INTRO = """# Benchmarks

We report ratios measured in one process, alternating the implementations, because absolute times
depend on the machine. `python -m benchmarks.report` renders this page from `benchmarks/results/`,
which the benchmarks write with `--save`.
"""
Report = dict[str, Any]


def machine(device: torch.device) -> Report:
    """Describe the machine without its name or place: device, threads and versions."""
    from lightning_resnets.training.hardware import read_cpuinfo

    is_cuda = device.type == "cuda"
    return {
        "kind": device.type,
        "device": torch.cuda.get_device_name(device) if is_cuda else read_cpuinfo("model name"),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "lightning": version("lightning"),
    }


def save(name: str, report: Report) -> Path:
    """Store a report as the newest of its benchmark on this kind of device."""
    path = FOLDER / "results" / f"{name}.{report['machine']['kind']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    return path


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `finish` reads: --json and --save."""
    parser.add_argument("--json", action="store_true", help="print one JSON object as last line")
    parser.add_argument("--save", action="store_true", help="store the results for README.md")


def finish(name: str, report: Report, options: argparse.Namespace) -> None:
    """Store and print the report, as the options ask."""
    if options.save:
        save(name, report)
    if options.json:
        print(json.dumps(report))


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Format a Markdown table; floats get three significant digits, None becomes a dash."""
    head = list(header)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    lines += [[_cell(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def training_section(report: Report) -> str:
    """Format the speed of `Trainer.fit` beside a bare loop and the usual script."""
    speeds, bare = report["images_per_second"], report["images_per_second"]["bare"]
    names = {
        "bare": "bare loop, same kernels",
        "fit": "`lightning-resnets fit`",
        "usual": "usual script: PIL, DataLoader, float32",
    }
    rows = [[title, speeds[name], speeds[name] / bare] for name, title in names.items()]
    what = f"{report['model']}, batch size {report['batch_size']}, {report['precision']}."
    return f"{what}\n\n" + table(["implementation", "images / s", "relative to bare"], rows)


def data_loading_section(report: Report) -> str:
    """Format the speed of the ImageNet loader beside torchvision's reference pipeline."""
    speeds = report["images_per_second"]
    rows = [
        ["ours", speeds["ours"], report["ratios"]["ours_over_reference"]],
        ["torchvision's reference", speeds["reference"], 1.0],
    ]
    what = f"{report['size']} x {report['size']} pixels, {report['num_workers']} workers."
    return f"{what}\n\n" + table(["loader", "images / s", "relative"], rows)


def checkpoint_loading_section(report: Report) -> str:
    """Format the time to load a checkpoint in each format, beside `torch.load`."""
    rows = []
    for name, times in report["seconds"].items():
        relative = report["relative_to_torchvision"][name]
        rows.append([name, times["first"], times["later"], relative])
    header = ["format", "first (s)", "later (s)", "later, relative to torchvision"]
    return f"{report['model']}, identified without a model card.\n\n" + table(header, rows)


def inspection_section(report: Report) -> str:
    """Format the cost of recording activations, of a sweep, and the memory after many images."""
    settings = list(report["ratios"])
    names = report["ratios"][settings[0]]
    rows = [[name, *(report["ratios"][one].get(name) for one in settings)] for name in names]
    sweeps = {name: report["sweep"].get(name, {}) for name in settings}
    ratios = [sweeps[name].get("sweep_over_naive") for name in settings]
    rows.append(["sweep / one forward pass per change", *ratios])
    memory = report["memory"]
    note = (
        "Time relative to a bare forward pass (batch x image size in the header).\n"
        f"Live tensors after 1 image: {memory['tensors_after_one']}, "
        f"after {memory['images']}: {memory['tensors_after_all']}."
    )
    return f"{note}\n\n" + table(["method", *settings], rows)


def coverage_section(report: Report) -> str:
    """Format how many models of torchvision and timm can be traced, rewritten and cut."""
    packages = {name: report[name] for name in ("torchvision", "timm") if name in report}
    columns = [*packages.values(), report]
    labels = {
        "models": "models",
        "traced": "traced",
        "traced_by_torch_fx": "... by torch.fx",
        "traced_by_recorder": "... by the recorder",
        "equal": "logits equal to the bit after `insert_merges`",
        "backends_agree": "both backends find the same merges",
        "cut_works": "a cut at the first merge changes the logits and can be undone",
        "median_seconds": "median time to trace (s)",
        "under_1s": "traced in under 1 s (fraction)",
    }
    rows = [[label, *(column[key] for column in columns)] for key, label in labels.items()]
    return table(["", *packages, "all"], rows)


SECTIONS = {
    "training": ("Training speed", training_section),
    "data_loading": ("ImageNet data loading", data_loading_section),
    "checkpoint_loading": ("Loading a checkpoint", checkpoint_loading_section),
    "inspection": ("Recording and changing a model", inspection_section),
    "coverage": ("Third-party models", coverage_section),
}


def render_page() -> str:
    """Render benchmarks/README.md: one section per stored report."""
    parts = [INTRO]
    for name, (title, section) in SECTIONS.items():
        for path in sorted((FOLDER / "results").glob(f"{name}.*.json")):
            report = json.loads(path.read_text())
            parts.append(f"## {title}\n\n{section(report)}\n{_footer(name, report)}")
    return "\n".join(parts)


def _footer(name: str, report: Report) -> str:
    on = report["machine"]
    return (
        f"`python -m benchmarks.{name} --save` on {on['device']}, {on['threads']} thread(s), "
        f"torch {on['torch']}, lightning {on['lightning']}.\n"
    )


def main(args: Sequence[str] | None = None) -> None:
    """Write the page, or with --check compare it with the stored results."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description="Write benchmarks/README.md from the stored results.",
    )
    parser.add_argument("--check", action="store_true", help="only check that it is up to date")
    options = parser.parse_args(args)
    page = render_page()
    path = FOLDER / "README.md"
    if options.check:
        sys.exit(0 if path.read_text() == page else f"{path.name} is out of date: run the module.")
    path.write_text(page)


if __name__ == "__main__":
    main()
