"""Untrained models that behave like trained ones."""

import torch
from torch import nn


def randomize_batch_norms(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give batch norms random weights and statistics, so that every branch contributes."""
    rng = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                assert tensor is not None
                tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.5)
            for tensor in (module.bias.data, module.running_mean):
                assert tensor is not None
                tensor.copy_(torch.randn(tensor.shape, generator=rng) * 0.1)
    return model.eval()
