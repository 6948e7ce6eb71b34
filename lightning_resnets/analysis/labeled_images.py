"""Images and labels of an analysis, checked once when they are put together."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_resnets.errors import AnalysisError

Batch = tuple[Tensor, Tensor]  # images and labels

INTEGER_DTYPES = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
NO_IMAGES = "At least one image is required, got none."


@dataclass(frozen=True, slots=True, eq=False)
class LabeledImages:
    """Preprocessed images (N, C, H, W), float, and their labels (N,), integers from 0.

    Raises AnalysisError if there is no image, or if shapes or types do not match.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        _check_image_tensor(self.images)
        _check_label_tensor(self.labels, len(self.images))

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int = 250) -> Iterator[tuple[Tensor, Tensor]]:
        """Split images and labels into batches.

        Args:
            size: images per batch; the last batch may have fewer.

        Yields:
            Images (B, C, H, W) and labels (B,).
        """
        # Views of the tensors, no copies.
        yield from zip(self.images.split(size), self.labels.split(size), strict=True)

    @classmethod
    def from_loader(cls, loader: Iterable[Batch], max_images: int | None = None) -> "LabeledImages":
        """Collect the batches of a loader.

        Args:
            loader: yields images (B, C, H, W) and labels (B,), as a datamodule's test_dataloader.
            max_images: number of images to take from the start; None takes all.

        Returns:
            The images in the loader's order.

        Raises:
            AnalysisError: the loader yields no batch.
        """
        batches: list[Batch] = []
        count = 0
        for batch in loader:
            batches.append(batch)
            count += len(batch[1])
            if max_images is not None and count >= max_images:
                break  # before the loader reads images that would be thrown away
        if not batches:
            raise AnalysisError(NO_IMAGES)
        images, labels = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
        return cls(images[:max_images], labels[:max_images])


def _check_image_tensor(images: object) -> None:
    """Raise AnalysisError unless this is a float tensor (N, C, H, W) with N > 0."""
    if not isinstance(images, Tensor) or images.dim() != 4 or not images.is_floating_point():
        raise AnalysisError(
            f"images must be a preprocessed float tensor (N, C, H, W), got {_describe(images)}."
        )
    if not len(images):
        raise AnalysisError(NO_IMAGES)


def _check_label_tensor(labels: object, count: int) -> None:
    """Raise AnalysisError unless this is an integer tensor (count,) without negative labels."""
    if (
        not isinstance(labels, Tensor)
        or labels.dtype not in INTEGER_DTYPES
        or labels.shape != (count,)
    ):
        raise AnalysisError(
            f"labels must be an integer tensor of shape ({count},), one label per image, "
            f"got {_describe(labels)}."
        )
    # cross_entropy ignores label -100, which would give wrong means.
    lowest = int(labels.min())
    if lowest < 0:
        raise AnalysisError(f"labels must be 0 or more, got {lowest}.")


def require_labeled_images(images: object) -> LabeledImages:
    """Check that the caller passed LabeledImages, not a tensor.

    Args:
        images: the argument to check.

    Returns:
        The same object.

    Raises:
        AnalysisError: it is not LabeledImages.
    """
    if isinstance(images, LabeledImages):
        return images
    raise AnalysisError(
        f"images must be LabeledImages(images, labels), got {_describe(images)}. "
        "Where labels do not matter use LabeledImages(images, torch.zeros(len(images), "
        "dtype=torch.long))."
    )


def _describe(value: object) -> str:
    """Describe a value of the wrong type for an error message."""
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"a {dtype} tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"
