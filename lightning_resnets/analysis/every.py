"""Every analysis by its name, with what it is given of a net, of pictures and of the nets beside it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from lightning_resnets.analysis.arithmetic import arithmetic
from lightning_resnets.analysis.gates import gates
from lightning_resnets.analysis.gradients import gradients
from lightning_resnets.analysis.landscape import landscape
from lightning_resnets.analysis.lesion import lesion
from lightning_resnets.analysis.paths import paths
from lightning_resnets.analysis.receptive import receptive
from lightning_resnets.analysis.refinement import refinement
from lightning_resnets.analysis.responses import responses
from lightning_resnets.analysis.result import AnalysisError, Pictures, Result, Tell, silent
from lightning_resnets.analysis.reuse import reuse
from lightning_resnets.analysis.saliency import saliency
from lightning_resnets.analysis.shattering import shattering

SURFACE = 300  # pictures that the loss is taken over at each of the landscape's points
SHOWN = 4  # pictures that saliency looks at


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A trained net in evaluation and what is seen beside it, where there is such a thing.

    `size` is that of a picture (C, H, W), `classes` names the labels of `pictures`. `twin` is a plain net trained as
    well, `fresh` and `fresh_twin` are both at initialisation.
    """

    net: nn.Module
    size: tuple[int, int, int]
    classes: tuple[str, ...]
    pictures: Pictures
    twin: nn.Module | None = None
    fresh: nn.Module | None = None
    fresh_twin: nn.Module | None = None
    seed: int = 0

    def some(self, most: int) -> Pictures:
        """At most so many of the pictures, evenly from all."""
        count = len(self.pictures)
        chosen = [place * count // most for place in range(most)] if most < count else list(range(count))
        return Pictures(self.pictures.images[chosen], self.pictures.labels[chosen])


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analysis tells, in a few words, and its call."""

    words: str
    call: Callable[[Subject, Tell], Result]


ANALYSES = {
    "lesion": Analysis(
        "the error without each block, without several, with neighbours swapped",
        lambda s, tell: lesion(s.net, s.pictures, s.twin, seed=s.seed, tell=tell),
    ),
    "paths": Analysis(
        "how many paths there are of each length, and which carry gradient",
        lambda s, tell: paths(s.net, s.pictures, seed=s.seed, tell=tell),
    ),
    "gradients": Analysis(
        "how much gradient comes back through each shortcut and branch, trained and at initialisation",
        lambda s, tell: gradients(s.net, s.pictures, s.fresh, tell=tell),
    ),
    "shattering": Analysis(
        "whether the input gradient at initialisation is noise, by depth",
        lambda s, tell: shattering(s.fresh or s.net, s.some(2), s.fresh_twin, seed=s.seed, tell=tell),
    ),
    "responses": Analysis(
        "how strongly layers answer, and what each branch adds to its shortcut",
        lambda s, tell: responses(s.net, s.pictures, s.twin, tell=tell),
    ),
    "gates": Analysis(
        "what each gate lets through, by channel, depth and class",
        lambda s, tell: gates(s.net, s.pictures, s.classes, tell=tell),
    ),
    "reuse": Analysis(
        "which earlier layers each layer of a dense block reads",
        lambda s, tell: reuse(s.net, s.size, tell=tell),
    ),
    "saliency": Analysis(
        "what speaks for the answer, by CAM, Grad-CAM and Layer-CAM at every block",
        lambda s, tell: saliency(s.net, s.some(SHOWN), tell=tell),
    ),
    "receptive": Analysis(
        "what each block can see of the picture and what it does see, with and without skips",
        lambda s, tell: receptive(s.net, s.size, seed=s.seed, tell=tell),
    ),
    "landscape": Analysis(
        "the loss around the checkpoint",
        lambda s, tell: landscape(s.net, s.some(SURFACE), twin=s.twin, seed=s.seed, tell=tell),
    ),
    "refinement": Analysis(
        "what the head answers behind every block of the last stage",
        lambda s, tell: refinement(s.net, s.pictures, tell=tell),
    ),
    "arithmetic": Analysis(
        "parameters and multiply-adds layer by layer, and what they buy",
        lambda s, tell: arithmetic(s.net, s.size, tell=tell),
    ),
}


def analyse(name: str, subject: Subject, tell: Tell = silent) -> Result:
    """One of ANALYSES by its name; raises AnalysisError for another name, and what the analysis itself raises."""
    if name not in ANALYSES:
        raise AnalysisError(f"There is no analysis called '{name}': there are {', '.join(ANALYSES)}.")
    return ANALYSES[name].call(subject, tell)
