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

    Steps that are not logged have no hooks and cost nothing. It works with any LightningModule
    whose model (its `model`, or itself) has merge modules; `insert_merges` adds them to a
    third-party model. The model must run uncompiled; if no Add runs, training stops with a
    ValueError.

    Args:
        every: number of steps between logs; by default the Trainer's `log_every_n_steps`.

    Raises:
        ValueError: every is below 1.
    """

    def __init__(self, every: int | None = None) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every must be 1 step or more, got {every}.")
        self.every = every
        # The step that is being recorded, and the last one that was
        self.step: int | None = None
        self._last_step: int | None = None
        self._squares: dict[str, Tensor] = {}
        self._handles: list[RemovableHandle] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Warn if the model has no Add.

        Args:
            trainer: unused.
            pl_module: module with the model.
        """
        self._last_step = None
        if not find_adds(pl_module):
            rank_zero_warn(
                "SkipNorms has nothing to log: this model has no Add "
                "(insert_merges adds them to a third-party model)."
            )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Add hooks before a step that is logged.

        Args:
            trainer: Trainer of the run.
            pl_module: module with the model.
            batch: unused.
            batch_idx: unused.
        """
        step = trainer.global_step
        every = self.every or max(1, trainer.log_every_n_steps)  # type: ignore[attr-defined]
        # Accumulated batches make one step, of which the first is recorded.
        if (step + 1) % every or step == self._last_step:
            return
        self.step = step
        self._last_step = step
        for name, add in find_adds(pl_module).items():
            hook = self._make_forward_hook(name)
            self._handles.append(add.register_forward_hook(hook, with_kwargs=True))

    def _make_forward_hook(self, name: str) -> Any:
        """Return a hook that records the inputs of an Add."""

        def record(
            module: Add, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Tensor
        ) -> None:
            """Record the norm of each input, and later of its gradient."""
            operands = bind_operands(module, args, kwargs)
            for role, tensor in zip(OPERAND_NAMES, operands, strict=True):
                # The mean over the images of a batch; the root is taken after that over the ranks.
                self._squares[f"{name}/{role}"] = squared_norm(tensor) / len(tensor)
                # This hook disappears with the graph of the step.
                if tensor.requires_grad:
                    tensor.register_hook(self._make_gradient_hook(f"{name}/{role}_gradient"))

        return record

    def _make_gradient_hook(self, name: str) -> Any:
        """Return a hook that records a gradient."""

        def record(gradient: Tensor) -> None:
            """Record the mean over images; the loss is a mean, so each has 1/N of its gradient."""
            self._squares[name] = squared_norm(gradient) * len(gradient)

        return record

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log the recorded norms and remove the hooks.

        Args:
            trainer: Trainer of the run.
            pl_module: unused.
            outputs: unused.
            batch: unused.
            batch_idx: unused.

        Raises:
            ValueError: the model is compiled, so that its hooks did not run.
        """
        if self.step is None:
            return
        step = self.step
        squares = self._squares
        had_hooks = bool(self._handles)
        # Before the error, so that no hook stays behind.
        self._remove_hooks()
        if had_hooks and not squares:
            raise ValueError(
                "SkipNorms saw no Add run: it needs a model that is not compiled "
                "(--model.compile false)."
            )
        if squares:
            self._log(trainer, step, squares)

    def _log(self, trainer: L.Trainer, step: int, squares: dict[str, Tensor]) -> None:
        """Log the mean over all ranks."""
        # Sorted, because the ranks must stack in the same order.
        names = sorted(squares)
        own = torch.stack([squares[name] for name in names])
        mean = trainer.strategy.reduce(own, reduce_op="mean")
        assert isinstance(mean, Tensor)
        scale = loss_scale(trainer)
        norms = dict[str, float]()
        for name, value in zip(names, mean.sqrt().tolist(), strict=True):
            norms[f"skip_norms/{name}"] = value / scale if name.endswith("_gradient") else value
        # Not with `log`, which would add them to the metrics of the model card.
        for logger in trainer.loggers:
            logger.log_metrics(norms, step=step)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Remove the hooks of a step that failed.

        Args:
            trainer: unused.
            pl_module: unused.
            exception: unused.
        """
        self._remove_hooks()

    def _remove_hooks(self) -> None:
        """Remove all hooks and forget what they recorded."""
        for handle in self._handles:
            handle.remove()
        self.step = None
        self._squares = {}
        self._handles = []


def find_adds(module: nn.Module) -> dict[str, Add]:
    """Return every Add of the module's model by the name of its block.

    Args:
        module: a LightningModule with the attribute `model`, or a model.

    Returns:
        The Add modules in order.
    """
    model = getattr(module, "model", module)
    return {
        # layer1.0.add belongs to the block layer1.0.
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
    # In float32, because squares above 65,504 overflow in float16.
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
    scale = 1.0
    if scaler is not None:
        scale = scaler.get_scale()
    return scale / trainer.accumulate_grad_batches
