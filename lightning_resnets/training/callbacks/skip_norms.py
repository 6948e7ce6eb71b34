"""Log the norms of shortcut and branch, and of their gradients, at every addition."""

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_resnets.interventions.record import bind_operands
from lightning_resnets.merges import Add

OPERAND_NAMES = Add.operands


class SkipNorms(Callback):
    """Log the norms of the inputs of every Add, and of their gradients, every `every` steps.

    Each Add is named after the block that owns it: `skip_norms/layer1.0/shortcut`, `.../branch`,
    `.../shortcut_gradient` and `.../branch_gradient`. A norm is the norm of one image's tensor
    (C, H, W), as the root mean square over the batch and all ranks. A gradient is that of the
    image's own loss. The gradient of a shortcut contains both paths, the sum and the branch that
    begins there: equation (5) of He et al. 2016, arXiv:1603.05027. Branches become weak with depth:
    section 4.2, "Analysis of layer responses", of He et al. 2015, arXiv:1512.03385.

    `every` defaults to the Trainer's `log_every_n_steps`. Other steps have no hooks and cost
    nothing. It works with any LightningModule whose model (its `model`, or itself) has merge
    modules; `insert_merges` adds them to a third-party model. The model must run uncompiled; if no
    Add is seen at work, the run stops with a ValueError.
    """

    def __init__(self, every: int | None = None) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every={every}: take 1 step or more.")
        self.every = every
        self.step: int | None = None  # the one that is looked at
        self._last: int | None = None
        self._squares: dict[str, Tensor] = {}
        self._handles: list[RemovableHandle] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._last = None
        if not find_adds(pl_module):
            rank_zero_warn(
                "SkipNorms has nothing to log: this model has no Add "
                "(insert_merges adds them to a third-party model)."
            )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        step, every = trainer.global_step, self.every or max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        if (step + 1) % every or step == self._last:  # several batches may make one step
            return
        self.step = self._last = step
        for name, add in find_adds(pl_module).items():
            self._handles.append(add.register_forward_hook(self._look(name), with_kwargs=True))

    def _look(self, name: str) -> Any:
        def look(
            module: Add, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Tensor
        ) -> None:
            for role, tensor in zip(
                OPERAND_NAMES, bind_operands(module, args, kwargs), strict=True
            ):
                self._squares[f"{name}/{role}"] = squared_norm(tensor) / len(tensor)
                if tensor.requires_grad:
                    tensor.register_hook(
                        self._keep(f"{name}/{role}_gradient")
                    )  # goes with the step's graph

        return look

    def _keep(self, name: str) -> Any:
        def keep(gradient: Tensor) -> None:
            self._squares[name] = squared_norm(gradient) * len(gradient)

        return keep

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if self.step is None:
            return
        step, squares, looked = self.step, self._squares, bool(self._handles)
        self._leave()
        if looked and not squares:
            raise ValueError(
                "SkipNorms saw no Add at work: it needs a model that is not compiled "
                "(--model.compile false)."
            )
        if squares:
            self._log(trainer, step, squares)

    def _log(self, trainer: L.Trainer, step: int, squares: dict[str, Tensor]) -> None:
        names = sorted(squares)
        mean = trainer.strategy.reduce(
            torch.stack([squares[name] for name in names]), reduce_op="mean"
        )
        assert isinstance(mean, Tensor)
        scale = loss_scale(trainer)
        norms = {
            f"skip_norms/{name}": value / scale if name.endswith("_gradient") else value
            for name, value in zip(names, mean.sqrt().tolist(), strict=True)
        }
        for logger in trainer.loggers:  # not by `log`: the card would list them all
            logger.log_metrics(norms, step=step)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        for handle in self._handles:
            handle.remove()
        self.step, self._squares, self._handles = None, {}, []


def find_adds(module: nn.Module) -> dict[str, Add]:
    """Return every Add of the module's model by the name of its block.

    Args:
        module: a LightningModule with the attribute `model`, or a model.

    Returns:
        The Add modules in order.
    """
    model = getattr(module, "model", module)
    return {
        name.removesuffix(".add"): part
        for name, part in model.named_modules()
        if isinstance(part, Add)
    }


def squared_norm(tensor: Tensor) -> Tensor:
    """Compute the squared norm in float32.

    Args:
        tensor: any shape.

    Returns:
        A scalar tensor.
    """
    return torch.linalg.vector_norm(tensor.detach(), dtype=torch.float32).square()


def loss_scale(trainer: L.Trainer) -> float:
    """Return the factor of the loss in the backward pass.

    It differs from 1 with 16-mixed precision or gradient accumulation.

    Args:
        trainer: Trainer of the run.

    Returns:
        The factor.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return (scaler.get_scale() if scaler is not None else 1.0) / trainer.accumulate_grad_batches
