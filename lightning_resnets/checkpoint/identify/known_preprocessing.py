"""Preprocessing of published models: image size, mean and standard deviation, by dataset.

Figures are those of the projects' own code, mistakes included.
"""

from lightning_resnets.preprocessing import Preprocessing

CIFAR_SIZE = (3, 32, 32)
IMAGENET_SIZE = (3, 224, 224)

IMAGENET = Preprocessing(
    input_size=IMAGENET_SIZE, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), crop_pct=0.875
)
MEAN_STD_HALF = Preprocessing(
    input_size=IMAGENET_SIZE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_pct=0.875
)
CIFAR10 = Preprocessing(
    input_size=CIFAR_SIZE, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)
)
# A widespread mistake: the mean of the images' standard deviations, which is smaller.
CIFAR10_NARROW = Preprocessing(
    input_size=CIFAR_SIZE, mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)
)
CIFAR10_AS_IMAGENET = Preprocessing(input_size=CIFAR_SIZE, mean=IMAGENET.mean, std=IMAGENET.std)
CIFAR100 = Preprocessing(
    input_size=CIFAR_SIZE, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762)
)


def caffe_preprocessing(*mean: float) -> Preprocessing:
    """Return Caffe's preprocessing: BGR images in 0..255, minus a mean.

    Args:
        mean: blue, green and red in 0..255.

    Returns:
        The same in terms of images in 0..1.
    """
    return Preprocessing(
        input_size=IMAGENET_SIZE,
        mean=tuple(value / 255 for value in mean),
        std=(1 / 255,) * 3,
        channel_order="BGR",
        crop_pct=0.875,
    )


# By dataset.
CAFFE_PREPROCESSING = {"imagenet": caffe_preprocessing(103.939, 116.779, 123.68)}
TORCH_PREPROCESSING: dict[str, Preprocessing] = {
    "imagenet": IMAGENET,
    "cifar10": CIFAR10,
    "cifar100": CIFAR100,
}
NARROW_STD_PREPROCESSING: dict[str, Preprocessing] = {
    **TORCH_PREPROCESSING,
    "cifar10": CIFAR10_NARROW,
}
# MSRA's models, which detectron2 starts from.
DETECTRON2_PREPROCESSING = {"imagenet": caffe_preprocessing(103.53, 116.28, 123.675)}
