"""What results call the nets, and labels that a net has an answer for."""

from torch import Tensor, nn

from lightning_resnets.analysis.result import AnalysisError


def called(net: nn.Module, name: str = "") -> str:
    """The name given, else that of the net's class."""
    return name or type(net).__name__


def both(net: nn.Module, twin: nn.Module | None, name: str = "", twin_name: str = "") -> tuple[str, str]:
    """What a net and its twin are called, never the same; "" for a twin that is not there."""
    one, other = called(net, name), "" if twin is None else called(twin, twin_name)
    return one, f"{other} (twin)" if other == one else other


def scored(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The same logits (N, K) and labels (N,); raises AnalysisError where a label is none of the K classes."""
    least, most = int(labels.min()), int(labels.max())
    if logits.dim() != 2:
        raise AnalysisError(f"This net answers with a tensor of {logits.dim()} axes: a score for each class is needed.")
    if least < 0 or most >= logits.shape[1]:
        raise AnalysisError(
            f"There are pictures of class {most if least >= 0 else least}, and this net tells {logits.shape[1]} "
            f"classes apart, 0 to {logits.shape[1] - 1}: give labels of its own classes."
        )
    return logits, labels
