"""The result of an identification: model, naming scheme, confidence, and what does not match."""

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from lightning_resnets.preprocessing import Preprocessing

Confidence = Literal["certain", "likely", "unsure"]

# Key, shape in the file, shape in the model.
MismatchedKey = tuple[str, tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """The model that weights of unknown origin belong to.

    Attributes:
        arch: name for `create_model`: one of ours, `timm/NAME` or `torchvision/NAME`.
        num_classes: width of the last layer; 0 for a feature extractor.
        model_kwargs: further arguments of `create_model`.
        dialect: naming scheme of the file's keys.
        state_dict: weights under the model's own keys; it loads strictly if the match fits.
        missing_keys: keys of the model that the file lacks.
        unexpected_keys: keys of the file that the model lacks.
        mismatched_keys: keys whose shapes differ.
        ignored_keys: keys that every file of this dialect has and no model needs.
        conversions: what was done to the weights, as phrases.
        confidence: "certain" if every weight fits and the key naming (or the file, or the user)
            leaves only this model; "likely" if other known models fit too, or if mean and std are
            guessed; else "unsure".
        reason: explanation of the confidence.
        alternatives: models that fit as well; each is a name that `--model` takes.
        assumptions: what was assumed, as sentences.
        prefix: prefix of the model's keys in the file.
        other_models: prefixes of other models in the file, for `--select`.
        preprocessing: input that the model expects.
        bn_eps: batch norm's epsilon, if the dialect's differs from the model's own.
        dataset: short name of the dataset, if the dialect tells it.
    """

    arch: str
    num_classes: int
    model_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])
    dialect: str
    state_dict: dict[str, Tensor]
    missing_keys: tuple[str, ...] = ()
    unexpected_keys: tuple[str, ...] = ()
    mismatched_keys: tuple[MismatchedKey, ...] = ()
    ignored_keys: tuple[str, ...] = ()
    conversions: tuple[str, ...] = ()
    confidence: Confidence
    reason: str
    alternatives: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    prefix: str = ""
    other_models: tuple[str, ...] = ()
    preprocessing: Preprocessing
    bn_eps: float | None = None
    dataset: str = ""

    @property
    def fits(self) -> bool:
        """Return True if no key is missing, unexpected or mismatched."""
        # Ignored keys do not count.
        return not (self.missing_keys or self.unexpected_keys or self.mismatched_keys)
