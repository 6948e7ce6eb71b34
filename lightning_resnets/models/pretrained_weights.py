"""Which ImageNet weights of our models are published, by torchvision and timm: where they lie, how they want images.

The table is ours and neither package is asked: importing them takes seconds, and timm need not be there. A test holds
it against both. Weights whose licence forbids commercial use are left out, and so are timm's copies of torchvision's.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from lightning_resnets.preprocessing import Preprocessing
from lightning_resnets.utils.download import RemoteFile

TORCHVISION = "https://download.pytorch.org/models"


TIMM = "https://github.com/huggingface/pytorch-image-models/releases/download"


HF_HUB = "https://huggingface.co"


IMAGENET_MEAN_STD = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, std


MEAN_STD_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# torchvision's files: IMAGENET1K_V1, then IMAGENET1K_V2; the eight digits begin the SHA-256.
TORCHVISION_FILES = {
    "resnet18": "resnet18-f37072fd",
    "resnet34": "resnet34-b627a593",
    "resnet50": "resnet50-0676ba61 resnet50-11ad3fa6",
    "resnet101": "resnet101-63fe2227 resnet101-cd907fc2",
    "resnet152": "resnet152-394f9c45 resnet152-f82ba261",
    "resnext50_32x4d": "resnext50_32x4d-7cdf4587 resnext50_32x4d-1a0047aa",
    "resnext101_32x8d": "resnext101_32x8d-8ba56ff5 resnext101_32x8d-110c445d",
    "resnext101_64x4d": "resnext101_64x4d-173b62eb",
    "wide_resnet50_2": "wide_resnet50_2-95faca4d wide_resnet50_2-9ba9bcbe",
    "wide_resnet101_2": "wide_resnet101_2-32ee1156 wide_resnet101_2-d733dc28",
    "densenet121": "densenet121-a639ec97",
    "densenet161": "densenet161-8d451a50",
    "densenet169": "densenet169-b2777c0a",
    "densenet201": "densenet201-c1103571",
    "googlenet": "googlenet-1378be20",
    "inception_v3": "inception_v3_google-0cc3c7bd",
    "alexnet": "alexnet-owt-7be5be79",
    "vgg16": "vgg16-397923af",
    "vgg19": "vgg19-dcbb9e9d",
}


# timm's tags on the hub, the best first.
TIMM_TAGS = {
    "resnet18": "a1_in1k a2_in1k a3_in1k gluon_in1k",
    "resnet34": "ra4_e3600_r224_in1k a1_in1k a2_in1k a3_in1k bt_in1k gluon_in1k",
    "resnet50": "a1_in1k a1h_in1k a2_in1k a3_in1k am_in1k b1k_in1k b2k_in1k bt_in1k c1_in1k c2_in1k d_in1k gluon_in1k "
    "ra_in1k ram_in1k",
    "resnet101": "a1h_in1k a1_in1k a2_in1k a3_in1k gluon_in1k",
    "resnet152": "a1h_in1k a1_in1k a2_in1k a3_in1k gluon_in1k",
    "resnext50_32x4d": "a1h_in1k a1_in1k a2_in1k a3_in1k gluon_in1k ra_in1k",
    "resnext101_32x4d": "gluon_in1k",
    "resnext101_64x4d": "c1_in1k gluon_in1k",
    "wide_resnet50_2": "racm_in1k",
    "seresnet50": "ra2_in1k a1_in1k a2_in1k a3_in1k",
    "seresnext50_32x4d": "racm_in1k gluon_in1k",
    "seresnext101_32x4d": "gluon_in1k",
    "seresnext101_32x8d": "ah_in1k",
    "seresnext101_64x4d": "gluon_in1k",
    "densenet121": "ra_in1k",
    "inception_resnet_v2": "tf_in1k tf_ens_adv_in1k",
    "inception_v3": "tf_in1k tf_adv_in1k gluon_in1k",
}


# The sides of timm's images and the share that is cut out, by model and tag, by model, by tag; else (224, 0.875).
TIMM_INPUT_SIZES = {
    "resnet50.a1h_in1k": (176, 0.9),
    "inception_v3": (299, 0.875),
    "inception_resnet_v2": (299, 0.8975),
    "a3_in1k": (160, 0.95),
    "ra4_e3600_r224_in1k": (224, 0.9),
    **{
        f"{word}_in1k": (224, 0.95)
        for word in ("a1", "a1h", "a2", "ah", "b1k", "b2k", "c1", "c2", "d")
    },
}


# timm's legacy SE networks, Caffe's in their form: tag `legacy`. timm puts a ReLU before the SE of 18 and 34: not ours.
TIMM_LEGACY_FILES = {
    "seresnet50": "v0.1-cadene/se_resnet50-ce0d4300",
    "seresnet101": "v0.1-cadene/se_resnet101-7e38fcc6",
    "seresnet152": "v0.1-cadene/se_resnet152-d17c99b7",
    "seresnext50_32x4d": "v0.1-weights/legacy_se_resnext50_32x4d-f3651bad",
    "seresnext101_32x4d": "v0.1-weights/legacy_se_resnext101_32x4d-37725eac",
}


@dataclass(frozen=True, slots=True)
class PretrainedWeights:
    """A model's weights: `package` and `name` as people say them; `options` are the model's, where they need any."""

    model: str
    package: str
    name: str
    file: RemoteFile
    preprocessing: Preprocessing
    model_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def description(self) -> str:
        return f"{self.model} with {self.package}'s weights {self.name}"


def list_pretrained(model: str) -> dict[str, PretrainedWeights]:
    """The weights of a model by name, the one for `True` first: torchvision's newest, else timm's best. {} for none."""
    ours = [
        _torchvision(model, i, file)
        for i, file in enumerate(TORCHVISION_FILES.get(model, "").split(), 1)
    ]
    hub = [_timm(model, tag) for tag in TIMM_TAGS.get(model, "").split()]
    legacy = [_legacy(model, TIMM_LEGACY_FILES[model])] if model in TIMM_LEGACY_FILES else []
    return {weights.name: weights for weights in (*reversed(ours), *hub, *legacy)}


def get_pretrained(model: str, name: str | bool = True) -> PretrainedWeights:
    """The weights of that name, or the best; raises ValueError that lists which there are."""
    found = list_pretrained(model)
    if not found:
        models = ", ".join(dict.fromkeys([*TORCHVISION_FILES, *TIMM_TAGS, *TIMM_LEGACY_FILES]))
        raise ValueError(
            f"No ImageNet weights of {model} are published that we know; there are some of {models}."
        )
    if name is True:
        return next(iter(found.values()))
    if name not in found:
        raise ValueError(f"{model} has no published weights {name!r}; it has {', '.join(found)}.")
    return found[str(name)]


def resolve_model_kwargs(model: str, model_kwargs: dict[str, Any]) -> dict[str, Any]:
    """Options as a card holds them: what published weights need of the model stays, that they were asked for does not."""
    name = model_kwargs.get("pretrained", False)
    rest = {option: value for option, value in model_kwargs.items() if option != "pretrained"}
    return {**get_pretrained(model, name).model_kwargs, **rest} if name else rest


def _torchvision(model: str, version: int, file: str) -> PretrainedWeights:
    side = 299 if model == "inception_v3" else 224
    kept = 342 if side == 299 else 232 if version == 2 or model == "resnext101_64x4d" else 256
    # These two shift their images themselves, from ImageNet's mean and std to 0.5; ours are given them so.
    scale = MEAN_STD_HALF if model in ("googlenet", "inception_v3") else IMAGENET_MEAN_STD
    wants = Preprocessing(
        input_size=(3, side, side), crop_pct=side / kept, mean=scale[0], std=scale[1]
    )
    source = RemoteFile(f"{_base(TORCHVISION)}/{file}.pth", f"{file}.pth", file[-8:])
    return PretrainedWeights(model, "torchvision", f"IMAGENET1K_V{version}", source, wants)


def _legacy(model: str, file: str) -> PretrainedWeights:
    folder, _, name = file.partition("/")
    base = _base(TIMM)
    url = f"{base}/{folder}/{name}.pth" if base == TIMM else f"{base}/{name}.pth"
    options = {"stem_pool": "ceil"} | (
        {} if model.startswith("seresnext") else {"stride_in": "1x1"}
    )
    wants = Preprocessing(
        input_size=(3, 224, 224),
        crop_pct=0.875,
        mean=IMAGENET_MEAN_STD[0],
        std=IMAGENET_MEAN_STD[1],
    )
    return PretrainedWeights(
        model, "timm", "legacy", RemoteFile(url, f"{name}.pth", name[-8:]), wants, options
    )


def _timm(model: str, tag: str) -> PretrainedWeights:
    base = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HF_HUB
    url = f"{base}/timm/{model}.{tag}/resolve/main/model.safetensors"
    return PretrainedWeights(
        model, "timm", tag, RemoteFile(url, f"{model}.{tag}.safetensors"), _wants(model, tag)
    )


def _wants(model: str, tag: str) -> Preprocessing:
    """As timm evaluates it in the size of its training."""
    side, crop = (
        TIMM_INPUT_SIZES.get(f"{model}.{tag}")
        or TIMM_INPUT_SIZES.get(model)
        or TIMM_INPUT_SIZES.get(tag, (224, 0.875))
    )
    mean, std = MEAN_STD_HALF if tag.startswith(("ra4", "tf")) else IMAGENET_MEAN_STD
    return Preprocessing(
        input_size=(3, side, side), crop_pct=crop, interpolation="bicubic", mean=mean, std=std
    )


def _base(usual: str) -> str:
    """A mirror where such files lie under their own names, for who cannot reach the usual place."""
    return os.environ.get("LIGHTNING_RESNETS_MIRROR", "").rstrip("/") or usual
