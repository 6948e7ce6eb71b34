"""Winners of ILSVRC classification by year, with their depth: the "revolution of depth".

The expression and the first six bars are those of Kaiming He's ILSVRC 2015 and CVPR 2016 talks.
"""

from typing import NamedTuple

CHALLENGE = "Russakovsky et al. 2015, arXiv:1409.0575"


class ChallengeEntry(NamedTuple):
    """One entry of the challenge.

    Attributes:
        year: year of the challenge.
        name: name of the model, or of the method or team.
        layers: layers with weights on the longest path; None for a method without a deep network
            or an ensemble of several depths.
        top5_error: top-5 error on the test set in %, as submitted, usually of an ensemble.
        model: the same or the closest model of the registry; "" if there is none.
        source: paper or page that prints the error.
        note: what the error is of.
    """

    year: int
    name: str
    layers: int | None
    top5_error: float
    model: str
    source: str
    note: str = ""


CHALLENGE_ENTRIES = (
    ChallengeEntry(2010, "NEC-UIUC", None, 28.2, "", CHALLENGE, "SIFT and LBP features, SVM"),
    ChallengeEntry(2011, "XRCE", None, 25.8, "", CHALLENGE, "Fisher vectors, SVM"),
    ChallengeEntry(
        2012, "AlexNet", 8, 16.4, "alexnet", CHALLENGE, "5 models; 15.3 % with more training data"
    ),
    ChallengeEntry(
        2013, "ZFNet", 8, 11.7, "", CHALLENGE, "team Clarifai; 11.2 % with more training data"
    ),
    ChallengeEntry(2014, "VGG-19", 19, 7.3, "vgg19", CHALLENGE, "second place; 7 models"),
    ChallengeEntry(2014, "GoogLeNet", 22, 6.7, "googlenet", CHALLENGE, "7 models, 144 crops"),
    ChallengeEntry(
        2015, "ResNet-152", 152, 3.57, "resnet152", "He et al. 2015, arXiv:1512.03385", "6 models"
    ),
    ChallengeEntry(
        2016,
        "Trimps-Soushen",
        None,
        2.99,
        "",
        "ILSVRC 2016, results page of the challenge",
        "Inception, ResNet and wide ResNet models together",
    ),
    ChallengeEntry(
        2017, "SENet-154", 154, 2.25, "senet154", "Hu et al. 2019, arXiv:1709.01507", "an ensemble"
    ),
)
