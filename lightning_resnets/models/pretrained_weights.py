"""Table of the ImageNet weights that torchvision and timm publish for our models.

The table is a copy, because importing the packages takes seconds and timm is optional. A test
compares it with both. Weights whose license forbids commercial use are left out, and so are timm's
copies of torchvision's.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from lightning_resnets.errors import ModelError
from lightning_resnets.preprocessing import Preprocessing
from lightning_resnets.utils.download import RemoteFile

TORCHVISION = "https://download.pytorch.org/models"
TIMM = "https://github.com/huggingface/pytorch-image-models/releases/download"
HF_HUB = "https://huggingface.co"

# Mean and standard deviation of RGB in 0..1.
IMAGENET_MEAN_STD = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MEAN_STD_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

# torchvision's files: IMAGENET1K_V1, then IMAGENET1K_V2. The eight digits are the start of the
# SHA-256.
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
    "vgg16_bn": "vgg16_bn-6c64b313",
    "vgg19": "vgg19-dcbb9e9d",
    "vgg19_bn": "vgg19_bn-c79401a0",
}

# timm's tags on the Hugging Face Hub, the best first.
TIMM_TAGS = {
    "resnet18": "a1_in1k a2_in1k a3_in1k gluon_in1k",
    "resnet34": "ra4_e3600_r224_in1k a1_in1k a2_in1k a3_in1k bt_in1k gluon_in1k",
    "resnet50": "a1_in1k a1h_in1k a2_in1k a3_in1k am_in1k b1k_in1k b2k_in1k bt_in1k c1_in1k "
    "c2_in1k d_in1k gluon_in1k ra_in1k ram_in1k",
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
    "senet154": "gluon_in1k",
    "densenet121": "ra_in1k",
    "inception_resnet_v2": "tf_in1k tf_ens_adv_in1k",
    "inception_v3": "tf_in1k tf_adv_in1k gluon_in1k",
}

# timm's image size and crop_pct by model and tag, by model, or by tag. Others have (224, 0.875).
TIMM_INPUT_SIZES = {
    "resnet50.a1h_in1k": (176, 0.9),
    "inception_v3": (299, 0.875),
    "inception_resnet_v2": (299, 0.8975),
    "a3_in1k": (160, 0.95),
    "ra4_e3600_r224_in1k": (224, 0.9),
    **{
        f"{recipe}_in1k": (224, 0.95)
        for recipe in ("a1", "a1h", "a2", "ah", "b1k", "b2k", "c1", "c2", "d")
    },
}

# timm's legacy SE networks, converted from Caffe; our tag is `legacy`. Its seresnet18 and
# seresnet34 have a ReLU in front of SE, so they are not among ours.
TIMM_LEGACY_FILES = {
    "seresnet50": "v0.1-cadene/se_resnet50-ce0d4300",
    "seresnet101": "v0.1-cadene/se_resnet101-7e38fcc6",
    "seresnet152": "v0.1-cadene/se_resnet152-d17c99b7",
    "seresnext50_32x4d": "v0.1-weights/legacy_se_resnext50_32x4d-f3651bad",
    "seresnext101_32x4d": "v0.1-weights/legacy_se_resnext101_32x4d-37725eac",
}


@dataclass(frozen=True, slots=True)
class PretrainedWeights:
    """Published weights of one model.

    Attributes:
        model: name of the built-in model.
        package: "torchvision" or "timm".
        name: the package's name of the weights.
        file: address and hash.
        preprocessing: preprocessing that the weights expect.
        model_kwargs: options that the model must be built with.
    """

    model: str
    package: str
    name: str
    file: RemoteFile
    preprocessing: Preprocessing
    model_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def description(self) -> str:
        """Text such as "resnet18 with torchvision's weights IMAGENET1K_V1"."""
        return f"{self.model} with {self.package}'s weights {self.name}"


def list_pretrained(model: str) -> dict[str, PretrainedWeights]:
    """Return the published weights of a model.

    Args:
        model: name of a built-in model.

    Returns:
        Weights by name, the best first: torchvision's newest, then timm's. Empty if there are none.
    """
    files = TORCHVISION_FILES.get(model, "").split()
    weights = [_torchvision_weights(model, i, file) for i, file in enumerate(files, 1)]
    weights.reverse()
    weights += [_timm_weights(model, tag) for tag in TIMM_TAGS.get(model, "").split()]
    if model in TIMM_LEGACY_FILES:
        weights.append(_legacy_weights(model, TIMM_LEGACY_FILES[model]))
    return {one.name: one for one in weights}


def get_pretrained(model: str, name: str | bool = True) -> PretrainedWeights:
    """Return published weights by name.

    Args:
        model: name of a built-in model.
        name: name of the weights, or True for the best.

    Returns:
        The entry of the table.

    Raises:
        ModelError: there are none of this name; the message lists those available.
    """
    available = list_pretrained(model)
    if not available:
        models = ", ".join(dict.fromkeys([*TORCHVISION_FILES, *TIMM_TAGS, *TIMM_LEGACY_FILES]))
        raise ModelError(f"No published ImageNet weights are known for {model}, only for {models}.")
    if name is True:
        return next(iter(available.values()))
    if name not in available:
        names = ", ".join(available)
        raise ModelError(f"{model} has no published weights {name!r}; it has {names}.")
    return available[str(name)]


def resolve_model_kwargs(model: str, model_kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the model kwargs for a model card, which never asks for published weights.

    Args:
        model: name of a built-in model.
        model_kwargs: options as the user gave them, `pretrained` among them or not.

    Returns:
        The options without `pretrained`, with those that the published weights need.
    """
    name = model_kwargs.get("pretrained", False)
    rest = {option: value for option, value in model_kwargs.items() if option != "pretrained"}
    return {**get_pretrained(model, name).model_kwargs, **rest} if name else rest


def _torchvision_weights(model: str, version: int, file: str) -> PretrainedWeights:
    """Describe a file of torchvision."""
    image_size, resize_size = 224, 256
    if model == "inception_v3":
        image_size, resize_size = 299, 342
    elif version == 2 or model == "resnext101_64x4d":
        resize_size = 232
    # torchvision's versions of these two shift ImageNet's mean and std to 0.5 inside the model.
    # Ours expect images that are normalized so.
    has_transform_input = model in ("googlenet", "inception_v3")
    mean, std = MEAN_STD_HALF if has_transform_input else IMAGENET_MEAN_STD
    preprocessing = Preprocessing(
        input_size=(3, image_size, image_size),
        crop_pct=image_size / resize_size,
        mean=mean,
        std=std,
    )
    remote = RemoteFile(f"{_mirror_or(TORCHVISION)}/{file}.pth", f"{file}.pth", file[-8:])
    return PretrainedWeights(model, "torchvision", f"IMAGENET1K_V{version}", remote, preprocessing)


def _legacy_weights(model: str, file: str) -> PretrainedWeights:
    """Describe a file of timm's legacy SE networks, built as in Caffe."""
    folder, _, name = file.partition("/")
    base = _mirror_or(TIMM)
    # A mirror has all files in one folder.
    url = f"{base}/{folder}/{name}.pth" if base == TIMM else f"{base}/{name}.pth"
    model_kwargs = {"stem_pool": "ceil"}
    if not model.startswith("seresnext"):
        model_kwargs["stride_in"] = "1x1"
    mean, std = IMAGENET_MEAN_STD
    preprocessing = Preprocessing(input_size=(3, 224, 224), crop_pct=0.875, mean=mean, std=std)
    remote = RemoteFile(url, f"{name}.pth", name[-8:])
    return PretrainedWeights(model, "timm", "legacy", remote, preprocessing, model_kwargs)


def _timm_weights(model: str, tag: str) -> PretrainedWeights:
    """Describe weights of timm on the Hugging Face Hub."""
    base = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HF_HUB
    url = f"{base}/timm/{model}.{tag}/resolve/main/model.safetensors"
    remote = RemoteFile(url, f"{model}.{tag}.safetensors")
    return PretrainedWeights(model, "timm", tag, remote, _timm_preprocessing(model, tag))


def _timm_preprocessing(model: str, tag: str) -> Preprocessing:
    """Return timm's preprocessing for evaluation at the size of training."""
    default = TIMM_INPUT_SIZES.get(tag, (224, 0.875))
    image_size, crop_pct = TIMM_INPUT_SIZES.get(
        f"{model}.{tag}", TIMM_INPUT_SIZES.get(model, default)
    )
    mean, std = MEAN_STD_HALF if tag.startswith(("ra4", "tf")) else IMAGENET_MEAN_STD
    return Preprocessing(
        input_size=(3, image_size, image_size),
        crop_pct=crop_pct,
        interpolation="bicubic",
        mean=mean,
        std=std,
    )


def _mirror_or(default: str) -> str:
    """Return the base address of the user's mirror if there is one, else the default."""
    return os.environ.get("LIGHTNING_RESNETS_MIRROR", "").rstrip("/") or default
