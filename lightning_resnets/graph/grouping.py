"""Find the block and the stage of the model that an operation belongs to."""

from functools import cache

from torch import nn

from lightning_resnets.merges import Merge


class NodeGrouping:
    """Blocks and stages of one model by module path.

    A block is drawn as one node; a stage holds blocks. Results are cached per path, so that a
    deep model costs no more than its depth.
    """

    def __init__(self, model: nn.Module) -> None:
        self.modules = dict(model.named_modules(remove_duplicate=False))
        # On the instance: `functools.cache` on a method would keep all models alive.
        self.block = cache(self._block)
        self.stage = cache(self._stage)
        self.is_container = cache(self._is_container)
        self.has_merge = cache(self._has_merge)
        self.is_nested = cache(self._is_nested)

    def _block(self, path: str) -> str:
        """Return the outermost module on the path that is not a container, else ""."""
        parts = path.split(".") if path else []
        prefixes = (".".join(parts[: i + 1]) for i in range(len(parts)))
        return next((name for name in prefixes if not self.is_container(self.modules[name])), "")

    def _stage(self, block: str) -> str:
        """Return the container of the block, or the block where the container is nested."""
        parent = block.rpartition(".")[0]
        if not parent or self.is_nested(parent):
            return block
        return parent

    def _is_nested(self, path: str) -> bool:
        """Return True for a container of containers."""
        return any(self.is_container(child) for child in self.modules[path].children())

    def _is_container(self, module: nn.Module) -> bool:
        """Return True for a plain container, or a module of blocks with merges (DenseBlock)."""
        if type(module) is nn.Sequential or isinstance(module, (nn.ModuleList, nn.ModuleDict)):
            return True
        # Its own merges do not make a block out of a DenseBlock.
        inner = [child for child in module.children() if not isinstance(child, Merge)]
        return bool(inner) and all(self.has_merge(child) for child in inner)

    def _has_merge(self, module: nn.Module) -> bool:
        """Return True for a merge and for a module that contains one."""
        if isinstance(module, Merge):
            return True
        return any(self.has_merge(child) for child in module.children())
