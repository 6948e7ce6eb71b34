"""Render the screenshots of the README and the docs, with the numbers that they show.

    python -m benchmarks.screenshots [--out DIR]

Runs the app without a display on the bundled checkpoints. Writes one PNG per screenshot, and
`figures.json` with the numbers painted in each: a test makes them anew and compares that file. The
time of the forward pass is left out of both, because it depends on the machine.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QApplication

from gui.app import create_controller
from gui.controller import Controller
from gui.view_state import ViewState
from gui.views.inspector import describe_node_cost
from gui.views.prediction import format_percent

ROOT = Path(__file__).resolve().parents[1]
IMAGES_DIR = ROOT / "docs/images"
WINDOW_SIZE = (1280, 800)
DEVICE_PIXEL_RATIO = 2
TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Screenshot:
    """One screenshot: a bundled model with a selected node."""

    name: str
    model: str
    node: str
    theme: str = "light"
    sample: int = 0  # number of the sample image
    sort_gate: bool = False


SCREENSHOTS = (
    Screenshot("window", "resnet20-cifar10", "layer2.0.add", sample=3),
    Screenshot("gate", "seresnet20-cifar10", "layer3.1.se.gate", "dark", 7, sort_gate=True),
    Screenshot(
        "densenet",
        "densenet_bc_40_12-cifar10",
        "features.denseblock1.denselayer3.concat",
        sample=8,
    ),
)


def wait_until(controller: Controller, condition: Callable[[], bool]) -> None:
    """Run Qt's event loop until something is true.

    Args:
        controller: The app.
        condition: Asked again and again.

    Raises:
        RuntimeError: The app shows an error message.
        TimeoutError: The condition is still false after a minute.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        QApplication.processEvents()
        time.sleep(0.01)
        if message := controller.window.banner.text:
            raise RuntimeError(message)
        if time.monotonic() > deadline:
            raise TimeoutError(f"The app showed no result within {TIMEOUT_SECONDS} s.")


def show(controller: Controller, shot: Screenshot) -> None:
    """Bring the app into the state of a screenshot.

    Args:
        controller: The app, just started.
        shot: The screenshot.
    """
    controller.worker.start()
    controller.start(shot.model)
    wait_until(controller, lambda: bool(controller.catalog.samples and controller.screen.bars))
    controller.files.select_sample(shot.sample)
    controller.select(shot.node)
    if shot.sort_gate:
        controller.toggle_order()
    label = controller.catalog.samples[shot.sample].label

    def is_shown() -> bool:
        screen = controller.screen
        has_node = screen.detail is not None and screen.detail.name == shot.node
        return has_node and screen.image_label == label and not screen.status

    wait_until(controller, is_shown)


def painted_figures(shot: Screenshot, screen: ViewState) -> dict[str, str]:
    """Return the numbers of a screenshot as they are painted.

    Args:
        shot: The screenshot.
        screen: What the app shows.

    Returns:
        Model, data, accuracy, parameters, image, prediction and selected node.
    """
    assert screen.node
    best = screen.bars[0]
    facts = dict(screen.facts)
    return {
        "accuracy": facts["accuracy"],
        "checkpoint": shot.model,
        "data": facts["data"],
        "image": screen.image_label,
        "model": screen.title,
        "node": screen.node.name,
        "node_cost": describe_node_cost(screen.node),
        "parameters": facts["parameters"],
        "theme": shot.theme,
        "top_class": best.label,
        "top_probability": format_percent(best.probability),
    }


def take(shot: Screenshot, out: Path) -> dict[str, str]:
    """Take a screenshot.

    Args:
        shot: The screenshot.
        out: Folder for the PNG.

    Returns:
        The numbers that it shows.

    Raises:
        OSError: The PNG cannot be written.
    """
    controller = create_controller(shot.theme)
    window = controller.window
    window.resize(*WINDOW_SIZE)
    window.show()
    try:
        show(controller, shot)
        # The time of the forward pass would differ from run to run.
        window.set_state("")
        window.graph.fit()
        window.graph.clearFocus()
        QApplication.processEvents()
        path = out / f"{shot.name}.png"
        if not window.grab().save(str(path)):
            raise OSError(f"Cannot write {path}. Check the folder.")
        return painted_figures(shot, controller.screen)
    finally:
        window.close()
        controller.worker.stop()
        window.deleteLater()
        QApplication.processEvents()


def take_all(out: Path, shots: Sequence[Screenshot] = SCREENSHOTS) -> dict[str, dict[str, Any]]:
    """Take all screenshots and write their numbers.

    Args:
        out: Folder for the PNGs and figures.json; created if it is missing.
        shots: The screenshots.

    Returns:
        The numbers of each screenshot, by name.
    """
    app = QApplication.instance() or QApplication(["screenshots"])
    assert isinstance(app, QApplication)
    app.setStyle("Fusion")
    out.mkdir(parents=True, exist_ok=True)
    figures = {shot.name: take(shot, out) for shot in shots}
    text = json.dumps(figures, indent=1, sort_keys=True, ensure_ascii=False)
    (out / "figures.json").write_text(f"{text}\n", encoding="utf-8")
    return figures


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command.

    Args:
        argv: Command-line arguments, those of the process if None.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screenshots", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=IMAGES_DIR, metavar="DIR", help="folder (docs/images)"
    )
    out: Path = parser.parse_args(argv).out
    # Qt reads these when it starts: no display, and two device pixels per pixel.
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QT_SCALE_FACTOR"] = str(DEVICE_PIXEL_RATIO)
    os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")
    for name, figures in take_all(out).items():
        probability = f"{figures['top_class']} {figures['top_probability']}"
        print(f"{name}.png: {figures['model']}, {figures['accuracy']}, {probability}")


if __name__ == "__main__":
    main()
