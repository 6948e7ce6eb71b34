"""Check that an analysis leaves no hooks behind."""

from torch import nn


def has_hooks(model: nn.Module) -> bool:
    """Return True if a module of the model has a hook of any kind."""
    for module in model.modules():
        for name, table in vars(module).items():
            if name.endswith("_hooks") and table:
                return True
    return False
