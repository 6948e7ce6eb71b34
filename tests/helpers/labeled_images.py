"""Write small datasets of images in one folder per class."""

from pathlib import Path

from PIL import Image

from lightning_resnets.data import cifar10_sample


def save_cifar10_images(root: Path, count: int) -> Path:
    """Save the first test images of the bundled sample as PNG, and return the folder."""
    pixels, labels = cifar10_sample.load_sample("test")
    for index, (image, label) in enumerate(zip(pixels[:count], labels[:count], strict=True)):
        folder = root / cifar10_sample.CLASSES[label]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{index:03}.png")
    return root


def save_color_images(root: Path, **colors: str) -> Path:
    """Save three images of one color in each named folder, and return the root."""
    for name, color in colors.items():
        folder = root / name
        folder.mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (40 + index, 33), color).save(folder / f"{index}.png")
    return root
