"""The floors of the house: who may import whom, read from the source; and what really is imported."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interactive.test_model import saved

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "lightning", "torchvision", "torchmetrics"}
QT = {"PySide6", "shiboken6", "pyqtgraph"}

ANY = QT | {
    "gui",
    "lightning",
    "torchvision",
    "lightning_resnets.models.registry",
    "lightning_resnets.models",
}

# (files, what they must never import)
FLOORS = {
    "views paint plain data": (
        "gui/views/*.py",
        HEAVY | {"lightning_resnets", "gui.engine", "gui.worker", "gui.controller"},
    ),
    "the controller knows only gui": (
        "gui/controller.py",
        HEAVY | {"lightning_resnets", "gui.engine"},
    ),
    "the worker knows only Qt": (
        "gui/worker.py",
        HEAVY | {"lightning_resnets", "gui.views", "gui.engine"},
    ),
    "state and its kin are pure": (
        "gui/{state,diagram,tiles,theme,travel,actions}.py",
        HEAVY | QT | {"lightning_resnets"},
    ),
    "layout is pure": ("gui/layout/*.py", HEAVY | QT | {"lightning_resnets"}),
    "the engine knows no Qt": (
        "gui/engine.py",
        {*HEAVY, *QT, "gui.views", "gui.controller", "gui.worker"},
    ),
    "training never gui": ("lightning_resnets/training/*.py", QT | {"gui"}),
    "data never gui": ("lightning_resnets/data/*.py", QT | {"gui"}),
    "the lens is light": (
        "lightning_resnets/lens.py",
        QT | {"gui", "lightning", "torchvision", "torchmetrics"},
    ),
    "samples are plain": (
        "lightning_resnets/data/sample.py",
        HEAVY | QT | {"gui", "lightning_resnets.data.cifar10"},
    ),
    "the graph is any module's": ("lightning_resnets/graph/*.py", ANY),
    "surgery takes any module": ("lightning_resnets/surgery/*.py", ANY),
    "so do what stands beside them": (
        "lightning_resnets/{blocks,folding,outline,repeats,points,probe,replay,sweep}.py",
        ANY,
    ),
    "a graph's other forms need only the graph": (
        "lightning_resnets/exports/{__init__,document,dot,geometry,graphml,legend,placing,plain,saving,strokes,svg}.py",
        HEAVY
        | QT
        | {"gui", "networkx", "lightning_resnets.models.registry", "lightning_resnets.graph"},
    ),
    "models stand on merge and torch": (
        "lightning_resnets/{nets/residual,nets/resnet,nets/preact,nets/densenet,nets/highway,nets/inception,nets/inception_resnet,nets/se,zoo}.py",
        QT
        | {
            "gui",
            "lightning",
            "torchvision",
            "lightning_resnets.graph",
            "lightning_resnets.interactive.model",
        },
    ),
    "merge stands on torch": (
        "lightning_resnets/merge.py",
        QT | {"gui", "lightning", "torchvision", "lightning_resnets"},
    ),
    "the package itself is light": (
        "lightning_resnets/__init__.py",
        QT | {"gui", "lightning", "torchvision"},
    ),
}


def files(pattern: str) -> list[Path]:
    """Files of a glob with one {a,b} in it; a file that is not there yet has nothing to keep."""
    head, brace, rest = pattern.partition("{")
    names, _, tail = rest.partition("}")
    patterns = [f"{head}{name}{tail}" for name in names.split(",")] if brace else [pattern]
    return sorted(path for one in patterns for path in ROOT.glob(one))


def imports(path: Path, everywhere: bool = True) -> set[str]:
    """Full names of the modules that a file imports, anywhere in it (or only when it is itself imported)."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def breaches(found: set[str], banned: set[str]) -> set[str]:
    return {
        name for name in found if any(name == bad or name.startswith(f"{bad}.") for bad in banned)
    }


@pytest.mark.parametrize("floor", FLOORS)
def test_floor(floor: str) -> None:
    pattern, banned = FLOORS[floor]
    wrong = {
        str(path.relative_to(ROOT)): bad
        for path in files(pattern)
        if (bad := breaches(imports(path), banned))
    }
    assert files(pattern), f"no file is {pattern}"
    assert not wrong


def test_a_breach_is_found(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import numpy\n\ndef f():\n    from lightning_resnets import zoo\n    import torch.nn as nn\n"
    )
    assert breaches(imports(bad), {"torch", "lightning_resnets.models.registry"}) == {
        "torch.nn",
        "lightning_resnets.models.registry",
    }


def test_only_the_engine_knows_the_library() -> None:
    known = {
        path.name
        for path in ROOT.glob("gui/**/*.py")
        if breaches(imports(path), {"lightning_resnets"})
    }
    assert known == {"engine.py"}


# What people do with our models, one after the other in one process: each import of torch costs seconds.
STEPS = {
    "a model is built": "import lightning_resnets as lr; model = lr.build('seresnet20')",
    "a session of the lens": """
import numpy as np
from lightning_resnets.preprocessing import read_picture
from lightning_resnets.interactive.model import Lens
from lightning_resnets.interventions import Drop
lens = Lens.open(sys.argv[1])
points = [block.output for block in lens.graph.fold().blocks if block.output]
lens.look(np.zeros((50, 40, 3), np.uint8), points, [Drop("layer1.0")])
str(lens.graph)
assert threading.active_count() == 1
""",
    "published weights are chosen": "import lightning_resnets.models.pretrained as p; p.chosen('seresnet50')",
    "other packages' models are looked up": """
from lightning_resnets.models.known.index import lookup
lookup({f"features.{n}.weight": (64, n) for n in range(400)})
""",
    "models are listed": "from lightning_resnets.cli.main import main; main(['models', 'seresnet20'])",
}
UNUSED = {
    "lightning",
    "torchvision",
    "torchmetrics",
    "timm",
    "networkx",
    "sympy",
    "torch._dynamo",
    "PySide6",
    "huggingface_hub",
    "requests",
}


def test_work_on_our_nets_imports_nothing_heavy_beside_torch(tmp_path: Path) -> None:
    code = "\n".join(
        f"exec({step!r})\nprint({name!r}, sorted({UNUSED!r} & set(sys.modules)))"
        for name, step in STEPS.items()
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, threading\n{code}",
            str(saved(tmp_path, "seresnet20")),
        ],
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr
    assert [line for line in done.stdout.splitlines() if line.endswith("]")] == [
        f"{name} []" for name in STEPS
    ]
