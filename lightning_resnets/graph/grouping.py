"""Which module of the model an operation belongs to: its cell, which is drawn as one, and the stage that holds cells."""

from functools import cache

from torch import nn

from lightning_resnets.merges import Merge


class NodeGrouping:
    """Cells and stages of one model by an operation's path; what is found once is kept, so a deep model costs its depth."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = dict(model.named_modules(remove_duplicate=False))
        self.cell, self.stage = cache(self._cell), cache(self._stage)
        self.container, self.holds_merge = cache(self._container), cache(self._holds_merge)
        self.nested = cache(self._nested)

    def _cell(self, path: str) -> str:
        """The outermost module on the path that is no plain container, empty where there is none."""
        parts = path.split(".") if path else []
        walked = (".".join(parts[: i + 1]) for i in range(len(parts)))
        return next((name for name in walked if not self.container(self.modules[name])), "")

    def _stage(self, cell: str) -> str:
        """The container that holds cells only, or the cell where its container holds containers too."""
        parent = cell.rpartition(".")[0]
        return cell if not parent or self.nested(parent) else parent

    def _nested(self, path: str) -> bool:
        return any(self.container(child) for child in self.modules[path].children())

    def _container(self, module: nn.Module) -> bool:
        """Plain containers, and modules that hold only merges and modules with merges of their own (DenseBlock)."""
        if type(module) is nn.Sequential or isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            return True
        inner = [child for child in module.children() if not isinstance(child, Merge)]
        return bool(inner) and all(self.holds_merge(child) for child in inner)

    def _holds_merge(self, module: nn.Module) -> bool:
        return isinstance(module, Merge) or any(
            self.holds_merge(child) for child in module.children()
        )
