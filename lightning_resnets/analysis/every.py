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
from lightning_resnets.graph import follow

SURFACE = (50, 300)  # pictures that the loss is taken over at each of the landscape's points: least, most
WORK = 12_200_000_000  # multiply-adds at each of them: 300 pictures of resnet20, 168 of densenet_bc_40_12
SHOWN = 4  # pictures that saliency looks at


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A trained net in evaluation and what is seen beside it, where there is such a thing.

    `size` is that of a picture (C, H, W), `classes` names the labels of `pictures`, which three analyses do without.
    `twin` is a plain net trained as well, `fresh` and `fresh_twin` are both at initialisation. `name`, `twin_name` and
    `fresh_twin_name` are what they are called, `error` is the net's on its whole test set in %.
    """

    net: nn.Module
    size: tuple[int, int, int]
    classes: tuple[str, ...]
    pictures: Pictures | None
    twin: nn.Module | None = None
    fresh: nn.Module | None = None
    fresh_twin: nn.Module | None = None
    seed: int = 0
    name: str = ""
    twin_name: str = ""
    fresh_twin_name: str = ""
    error: float | None = None

    @property
    def seen(self) -> Pictures:
        """The pictures; raises AnalysisError where there are none."""
        if self.pictures is None:
            raise AnalysisError("There is no picture to look at: give one or more.")
        return self.pictures

    def some(self, most: int) -> Pictures:
        """At most so many of the pictures, evenly from all."""
        images, labels = self.seen.images, self.seen.labels
        count = len(labels)
        chosen = [place * count // most for place in range(most)] if most < count else list(range(count))
        return Pictures(images[chosen], labels[chosen])


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an analysis tells, in a few words, its call, and whether that needs more of a picture than its size."""

    words: str
    call: Callable[[Subject, Tell], Result]
    needs_pictures: bool = True


def _shattering(subject: Subject, tell: Tell) -> Result:
    known = subject.fresh is not None and bool(subject.name)
    one, other = ((f"{name}, untrained" if known else "") for name in (subject.name, subject.fresh_twin_name))
    net, twin = subject.fresh or subject.net, subject.fresh_twin
    return shattering(net, subject.some(2), twin, seed=subject.seed, name=one, twin_name=other, tell=tell)


ANALYSES = {
    "lesion": Analysis(
        "the error without each block, without several, with neighbours swapped",
        lambda s, tell: lesion(s.net, s.seen, s.twin, seed=s.seed, name=s.name, twin_name=s.twin_name, tell=tell),
    ),
    "paths": Analysis(
        "how many paths there are of each length, and which carry gradient",
        lambda s, tell: paths(s.net, s.seen, seed=s.seed, name=s.name, tell=tell),
    ),
    "gradients": Analysis(
        "how much gradient comes back through each shortcut and branch, trained and at initialisation",
        lambda s, tell: gradients(s.net, s.seen, s.fresh, name=s.name, tell=tell),
    ),
    "shattering": Analysis(
        "whether the input gradient at initialisation is noise, by depth",
        _shattering,
    ),
    "responses": Analysis(
        "how strongly layers answer, and what each branch adds to its shortcut",
        lambda s, tell: responses(s.net, s.seen, s.twin, name=s.name, twin_name=s.twin_name, tell=tell),
    ),
    "gates": Analysis(
        "what each gate lets through, by channel, depth and class",
        lambda s, tell: gates(s.net, s.seen, s.classes, name=s.name, tell=tell),
    ),
    "reuse": Analysis(
        "which earlier layers each layer of a dense block reads",
        lambda s, tell: reuse(s.net, s.size, name=s.name, tell=tell),
        needs_pictures=False,
    ),
    "saliency": Analysis(
        "what speaks for the prediction, by CAM, Grad-CAM and Layer-CAM at every block",
        lambda s, tell: saliency(s.net, s.some(SHOWN), classes=s.classes, name=s.name, tell=tell),
    ),
    "receptive": Analysis(
        "what each block can see of the picture and what it does see, with and without skips",
        lambda s, tell: receptive(s.net, s.size, seed=s.seed, name=s.name, tell=tell),
        needs_pictures=False,
    ),
    "landscape": Analysis(
        "the loss around the checkpoint",
        lambda s, tell: landscape(
            s.net, s.some(surface(s)), twin=s.twin, seed=s.seed, name=s.name, twin_name=s.twin_name, tell=tell
        ),
    ),
    "refinement": Analysis(
        "what the head predicts behind every block of the last stage",
        lambda s, tell: refinement(s.net, s.seen, name=s.name, tell=tell),
    ),
    "arithmetic": Analysis(
        "parameters and multiply-adds layer by layer, and what they buy",
        lambda s, tell: arithmetic(s.net, s.size, error=s.error, name=s.name, tell=tell),
        needs_pictures=False,
    ),
}


def surface(subject: Subject) -> int:
    """How many pictures the loss is taken over at each of the landscape's points: fewer for a net that costs more."""
    macs = max(1, follow(subject.net, subject.size).blocks.macs)
    return max(SURFACE[0], min(SURFACE[1], WORK // macs))


def analyse(name: str, subject: Subject, tell: Tell = silent) -> Result:
    """One of ANALYSES by its name; raises AnalysisError for another name, and what the analysis itself raises."""
    if name not in ANALYSES:
        raise AnalysisError(f"There is no analysis called '{name}': there are {', '.join(ANALYSES)}.")
    return ANALYSES[name].call(subject, tell)
