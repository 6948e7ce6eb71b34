"""See through wrappers (compiled, parallel) and say what can be traced and what cannot."""

import copy
from typing import Any

from torch import nn
from torch._ops import OpOverload

from lightning_resnets.errors import TraceError

# Classes by name: importing torch._dynamo takes seconds.
COMPILED_CLASS = "OptimizedModule"
WRAPPED_CHILD = {
    COMPILED_CLASS: "_orig_mod",
    "DataParallel": "module",
    "DistributedDataParallel": "module",
}

# Modules of these packages compute with 8-bit integers.
QUANTIZED_PACKAGES = (
    "torch.ao.nn.quantized",
    "torch.ao.nn.intrinsic.quantized",
    "torch.nn.quantized",
    "torch.nn.intrinsic.quantized",
)


def wrapped_child(module: nn.Module) -> str | None:
    """Return the attribute that holds the wrapped model.

    Args:
        module: any module.

    Returns:
        "_orig_mod" for the result of `torch.compile`, "module" for a parallel model, else None.
    """
    kind = type(module)
    if isinstance(module, PassThrough):
        return module.wrapped_name
    name = WRAPPED_CHILD.get(kind.__name__)
    # A class of others may have the same name.
    if name and kind.__module__.startswith("torch.") and name in vars(module)["_modules"]:
        return name
    return None


def is_compiled(module: nn.Module) -> bool:
    """Return True for the result of `torch.compile(model)` and for a model after `.compile()`.

    Args:
        module: any module.
    """
    if wrapped_child(module) == "_orig_mod":
        return True
    return vars(module).get("_compiled_call_impl") is not None


def uncompiled(model: nn.Module) -> nn.Module:
    """Return the model that `torch.compile` was called with.

    Args:
        model: any model.

    Returns:
        The original model; a model that is not compiled itself.
    """
    # A compiled model may be compiled again.
    while wrapped_child(model) == "_orig_mod":
        model = model.get_submodule("_orig_mod")
    return model


class PassThrough(nn.Module):
    """Stands for a wrapper in a copy: it calls the wrapped model and has its names.

    Args:
        name: attribute of the wrapped model.
        wrapped: the wrapped model.
    """

    def __init__(self, name: str, wrapped: nn.Module) -> None:
        super().__init__()
        self.wrapped_name = name
        # Under the name of the wrapper's attribute, so that paths stay the same.
        self.add_module(name, wrapped)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the wrapped model.

        Args:
            args: its arguments.
            kwargs: its keyword arguments.

        Returns:
            Its output.
        """
        return vars(self)["_modules"][self.wrapped_name](*args, **kwargs)


def copy_without_wrappers(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """Copy a model, with a PassThrough for each wrapper in it.

    Dynamo would compile the tracer, and a parallel model would scatter its inputs.

    Args:
        model: the model.
        memo: see `copy.deepcopy`.

    Returns:
        The copy.
    """
    # Inner wrappers first, so that the copy of an outer one finds them in the memo.
    for module in reversed(list(model.modules())):
        name = wrapped_child(module)
        if name:
            wrapped = copy.deepcopy(module.get_submodule(name), memo)
            memo[id(module)] = PassThrough(name, wrapped)
    return copy.deepcopy(model, memo)


def check_is_traceable(model: object) -> None:
    """Check that an object is a model in eager mode.

    Args:
        model: any object.

    Raises:
        TraceError: it is not; the message says what to use instead.
    """
    if not isinstance(model, nn.Module):
        raise TraceError(f"model must be a torch.nn.Module, got {_describe_object(model)}.")
    # By name: torch.jit need not be imported.
    kinds = {base.__name__ for base in type(model).__mro__}
    if "ScriptModule" in kinds:
        raise TraceError(
            "This model is a TorchScript program (torch.jit): it no longer has the modules' Python "
            "code. Build the original nn.Module and load this one's state_dict() into it."
        )
    graph = vars(model).get("_graph")
    nodes = graph.nodes if graph is not None else ()
    if any(isinstance(node.target, OpOverload) for node in nodes):
        raise TraceError(
            "This model is a program of torch.export: its layers are taken apart into operations "
            "of ATen. Use the nn.Module that it was exported from."
        )


def is_quantized(model: nn.Module) -> bool:
    """Return True for a model with layers that compute with 8-bit integers.

    Args:
        model: any model.
    """
    return any(type(module).__module__.startswith(QUANTIZED_PACKAGES) for module in model.modules())


def _describe_object(model: object) -> str:
    """Describe something that is not a model, and say what to do."""
    name = type(model).__name__
    if name == "ExportedProgram":
        return "a program of torch.export: use the nn.Module that it was exported from"
    if isinstance(model, dict):
        return f"a {name}: build the model and load this state dict into it"
    if isinstance(model, str):
        return f"{model!r}: create_model({model!r}) builds a model by name"
    return f"{name}"
