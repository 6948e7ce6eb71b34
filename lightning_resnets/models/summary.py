"""Count the parameters and multiply-adds (MACs) of a built-in model without computing anything."""

from dataclasses import dataclass

from torch import nn

from lightning_resnets.graph import trace
from lightning_resnets.models.depth import count_depth
from lightning_resnets.models.published_results import PUBLISHED_RESULTS, PublishedResult
from lightning_resnets.models.registry import MODELS, create_model
from lightning_resnets.utils.parameters import count_parameters
from lightning_resnets.utils.skip_init import skip_init


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """Cost of a built-in model for one image, and the error rate that its paper reports.

    Attributes:
        name: name in the model registry.
        parameters: number of parameters.
        macs: multiply-adds (MACs) of one forward pass.
        input_size: (C, H, W) of the image.
        depth: layers with weights on the longest path, as in the models' names.
        published: error rate and its source; None if the paper reports none.
    """

    name: str
    parameters: int
    macs: int
    input_size: tuple[int, int, int]
    depth: int
    published: PublishedResult | None


def build_uninitialized(name: str, num_classes: int | None = None) -> nn.Module:
    """Build a model without initializing its weights.

    Args:
        name: any name that `create_model` takes.
        num_classes: width of the last layer; None for the number of classes in the registry.

    Returns:
        The model in training mode; its weights hold whatever was in memory.

    Raises:
        ValueError: there is no model of this name.
    """
    if num_classes is None:
        num_classes = MODELS[name].num_classes
    # Parameters and MACs depend on shapes alone.
    with skip_init():
        return create_model(name, num_classes)


def summarize_model(name: str) -> ModelSummary:
    """Build and trace a model of the registry to count its parameters and MACs.

    Args:
        name: name in the model registry.

    Returns:
        The counts at the model's own input size.
    """
    model = build_uninitialized(name)
    input_size = MODELS[name].input_size
    graph = trace(model, input_size)
    return ModelSummary(
        name=name,
        parameters=count_parameters(model),
        macs=graph.macs,
        input_size=input_size,
        depth=count_depth(graph),
        published=PUBLISHED_RESULTS.get(name),
    )
