"""Import rules: one list of folders, each importing only those above it; and what may stay
unloaded.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Each line imports only lines above it, and freely within itself. There are no exceptions.
FLOORS = (
    ("lightning_resnets.merges", "lightning_resnets.errors"),
    ("lightning_resnets.utils",),
    ("lightning_resnets.preprocessing", "lightning_resnets.formats"),
    ("lightning_resnets.graph",),
    ("lightning_resnets.models",),
    ("lightning_resnets.interventions", "lightning_resnets.data"),
    ("lightning_resnets.checkpoint", "lightning_resnets.run_folder"),
    ("lightning_resnets.evaluation", "lightning_resnets.analysis"),
    ("lightning_resnets.interactive",),
    ("lightning_resnets.recipes", "lightning_resnets.training"),
    ("lightning_resnets.cli",),
    ("gui",),
)
PACKAGE = "lightning_resnets"  # its __init__ re-exports the public API
HEAVY = {"torch", "lightning", "torchvision", "torchmetrics", "lightning_resnets"}
QT = {"PySide6", "shiboken6", "pyqtgraph"}
# (files of gui, what they must never import)
GUI_RULES = {
    "views know neither torch nor the library": (
        "gui/views/**/*.py",
        HEAVY | {"gui.engine", "gui.worker", "gui.controller"},
    ),
    "the controller knows only gui": ("gui/*controller.py", HEAVY | {"gui.engine"}),
    "the worker knows only Qt": ("gui/worker.py", HEAVY | {"gui.views", "gui.engine"}),
    "state, graph and layout are pure": ("gui/layout/*.py", HEAVY | QT),
    "state is pure": ("gui/state.py", HEAVY | QT),
    "graph is pure": ("gui/graph.py", HEAVY | QT),
    "descriptions are pure": ("gui/descriptions.py", HEAVY | QT),
    "feature maps are pure": ("gui/feature_maps.py", HEAVY | QT),
    "view state is pure": ("gui/view_state.py", HEAVY | QT),
    "details are pure": ("gui/details.py", HEAVY | QT),
    "tensor layout is pure": ("gui/tensor_layout.py", HEAVY | QT),
    "the request loop knows only gui": ("gui/request_loop.py", HEAVY | {"gui.engine"}),
    "the engine knows no Qt": (
        "gui/engine/*.py",
        QT | {"gui.views", "gui.controller", "gui.worker"},
    ),
}


def module_of(path: Path) -> str:
    """Return the dotted name of a source file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def is_within(module: str, parent: str) -> bool:
    """Return True for the module itself and everything below it."""
    return module == parent or module.startswith(f"{parent}.")


def floor_of(module: str) -> int | None:
    """Return the number of the floor that a module stands on, None for another package's."""
    for number, floor in enumerate(FLOORS):
        if any(is_within(module, name) for name in floor):
            return number
    return None


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, also lazily or for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def upward(path: Path) -> list[str]:
    """Return the imports of a file that point to a floor below its own line in the list."""
    own = floor_of(module_of(path))
    if own is None:
        return []
    found = [name for name in imports(path) if (floor_of(name) or 0) > own]
    return [f"{module_of(path)} imports {name}" for name in found]


def sources() -> list[Path]:
    """Return all source files of both packages."""
    return sorted([*ROOT.glob("lightning_resnets/**/*.py"), *ROOT.glob("gui/**/*.py")])


def test_no_folder_imports_one_below_it() -> None:
    assert not [line for path in sources() for line in upward(path)]


def test_every_file_stands_on_a_floor() -> None:
    modules = {module_of(path) for path in sources()} - {PACKAGE}
    assert not [module for module in modules if floor_of(module) is None]


def test_the_package_itself_imports_nothing_of_training_or_commands() -> None:
    names = list(imports(ROOT / "lightning_resnets/__init__.py"))
    assert not [
        n for n in names if is_within(n, f"{PACKAGE}.training") or is_within(n, "lightning")
    ]


def test_an_upward_import_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    bad = tmp_path / "lightning_resnets/graph/bad.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("def f():\n    from lightning_resnets.training import callbacks\n")
    assert upward(bad) == [
        "lightning_resnets.graph.bad imports lightning_resnets.training.callbacks"
    ]


def test_no_command_is_imported_by_other_code() -> None:
    outside = [path for path in sources() if not is_within(module_of(path), f"{PACKAGE}.cli")]
    found = [(path.name, name) for path in outside for name in imports(path)]
    assert not [pair for pair in found if is_within(pair[1], f"{PACKAGE}.cli")]


@pytest.mark.parametrize("rule", GUI_RULES)
def test_gui_rule(rule: str) -> None:
    pattern, banned = GUI_RULES[rule]
    paths = sorted(ROOT.glob(pattern))
    assert paths, f"no file matches {pattern}"
    found = [(path.name, name) for path in paths for name in imports(path)]
    assert not [pair for pair in found if any(is_within(pair[1], name) for name in banned)]


def test_only_the_engine_imports_the_library() -> None:
    paths = ROOT.glob("gui/**/*.py")
    found = [(path.parent.name, name) for path in paths for name in imports(path)]
    assert {folder for folder, module in found if is_within(module, PACKAGE)} == {"engine"}


def dependencies(path: Path) -> set[str]:
    """Return the modules of the project that a file imports when it is imported itself."""
    modules = {module_of(source) for source in sources()}
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in modules else node.module)
    return found - {module_of(path)}


def test_modules_form_no_ring() -> None:
    """Remove modules whose imports are all removed, again and again; a ring would remain."""
    waiting = {module_of(path): dependencies(path) for path in sources()}
    while ready := [module for module, needs in waiting.items() if not needs & waiting.keys()]:
        for module in ready:
            del waiting[module]
    assert not waiting


# What people do with our models, one step after another in one process: importing torch costs
# seconds.
STEPS = {
    "build a model": "import lightning_resnets as lr; model = lr.create_model('seresnet20')",
    "use an InteractiveModel": """
import numpy as np
from lightning_resnets import InteractiveModel, RemoveBlock
from lightning_resnets.utils.image_files import read_image
model = InteractiveModel.open("seresnet20-cifar10")
points = [node.hook_point for node in model.graph.fold().nodes if node.hook_point]
model.run(np.zeros((50, 40, 3), np.uint8), points, [RemoveBlock("layer1.0")])
str(model.graph)
assert threading.active_count() == 1
""",
    "list published weights": """
from lightning_resnets.models.pretrained_weights import get_pretrained
get_pretrained("seresnet50", True)
""",
    "look up third-party models": """
from lightning_resnets.models.known.index import lookup
lookup({f"features.{n}.weight": (64, n) for n in range(400)})
""",
    "list models": "from lightning_resnets.cli.main import main; main(['models', 'seresnet20'])",
}
UNUSED = {
    *("lightning", "torchvision", "torchmetrics", "timm", "networkx", "sympy", "torch._dynamo"),
    *("PySide6", "huggingface_hub", "requests"),
}


def test_work_on_our_models_imports_nothing_heavy_beside_torch() -> None:
    code = ["import sys, threading"]
    for name, step in STEPS.items():
        code += [f"exec({step!r})", f"print({name!r}, sorted({UNUSED!r} & set(sys.modules)))"]
    command = [sys.executable, "-c", "\n".join(code)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert not done.returncode, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.endswith("]")]
    assert lines == [f"{name} []" for name in STEPS]


def test_importing_the_app_leaves_torch_and_pyqtgraph_out() -> None:
    code = (
        "import sys, gui.app; print(sorted({'torch', 'pyqtgraph', 'networkx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr
