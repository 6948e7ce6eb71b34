"""`lightning-resnets evaluate FILE --data cifar10|imagenet|folder|sample --root DIR`: how often a model is right."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_resnets.checkpoint.load import LoadedCheckpoint
from lightning_resnets.checkpoint.model_card import ModelCard
from lightning_resnets.data import cifar10, image_folder
from lightning_resnets.data.cifar10_sample import CLASSES
from lightning_resnets.data.cifar10_sample import load_sample as sample_images
from lightning_resnets.data.image_folder import ImageSource
from lightning_resnets.errors import DataError

OWN_DIALECT = "lightning_resnets"  # the dialect of a file whose weights have our names


PIXELS_PER_BATCH = 16 * 224 * 224  # of one batch


LabeledImages = tuple[Sequence[ImageSource], list[int]]


ProgressCallback = Callable[[int, int, int], None]  # images done, of them right, all there are


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """What an evaluation found: `correct` of `total` images right at first; `top1` and `top5` are shares in 0..1."""

    arch: str
    dialect: str
    dataset: str
    correct: int
    total: int
    top1: float
    top5: float
    seconds: float

    def __str__(self) -> str:
        speed = f"{self.total / self.seconds:,.0f} a second" if self.seconds else ""
        rows = (
            ("model", f"{self.arch} (weights named as in {self.dialect})"),
            ("data", self.dataset),
            ("top-1", f"{self.top1:8.2%} right at first"),
            ("top-5", f"{self.top5:8.2%} right among five"),
            ("images", f"{self.total:,}, {self.correct:,} of them right"),
            ("seconds", f"{self.seconds:,.1f}, {speed}"),
        )
        return "\n".join(f"{label:<10}{text}" for label, text in rows)


def label_rank(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the right one, (N,) int64, for logits (N, K); of equal ones the earlier comes first.

    An image for which the model answers with something that is no number ranks last: K.
    """
    own = logits.gather(1, labels[:, None])  # (N, 1)
    earlier = torch.arange(logits.shape[1]) < labels[:, None]  # (N, K)
    before = ((logits > own) | ((logits == own) & earlier)).sum(1)
    return before.masked_fill(logits.isnan().any(1), logits.shape[1])


def no_progress(done: int, right: int, total: int) -> None:
    """Tells nobody."""


def count_correct(
    model: nn.Module,
    batches: Iterable[Tensor],
    labels: Tensor,
    progress: ProgressCallback = no_progress,
) -> tuple[int, int]:
    """How many images a model gets right at first and among five; `tell` hears of it after each batch.

    `model` in evaluation, `batches` (N, C, H, W) in the order of `labels` (all,) int64.
    """
    done = first = five = 0
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.inference_mode():
        for batch in batches:
            logits = model(batch.contiguous(memory_format=torch.channels_last))
            places = label_rank(logits, labels[done : done + len(batch)])
            done, first, five = (
                done + len(batch),
                first + int((places < 1).sum()),
                five + int((places < 5).sum()),
            )
            progress(done, first, len(labels))
    assert done == len(labels), "a label for each image"
    return first, five


def evaluate(
    opened: LoadedCheckpoint,
    data: str,
    root: Path,
    batch_size: int | None = None,
    limit: int | None = None,
    threads: int = 1,
    progress: ProgressCallback = no_progress,
) -> EvaluationResult:
    """Count what an opened model gets right of `data` (a name of DATA) in `root`; images are decoded in `threads`.

    `batch_size` images go through the model at once (None: as many as are fastest); `limit` takes that many images,
    evenly from all. Raises DataError and PictureError, one sentence each.
    """
    card = opened.card
    images, labels = subsample(DATASETS[data](root, card), limit)
    start = time.perf_counter()
    made = image_folder.load_batches(images, card, batch_size or default_batch_size(card), threads)
    first, five = count_correct(opened.model, made, torch.tensor(labels), progress)
    seconds, total = time.perf_counter() - start, len(labels)
    return EvaluationResult(
        arch=card.arch,
        dialect=card.dialect or OWN_DIALECT,
        dataset=data,
        correct=first,
        total=total,
        top1=first / total,
        top5=five / total,
        seconds=seconds,
    )


def default_batch_size(card: ModelCard) -> int:
    """Images at once: 16 of 224 pixels a side, up to 64 smaller ones; maps of more do not stay in the cache."""
    return max(1, min(64, PIXELS_PER_BATCH // (card.input_size[1] * card.input_size[2])))


def cifar10_test_set(root: Path, card: ModelCard) -> LabeledImages:
    """The official test set."""
    place = cifar10.find_cifar10(root)
    if place is None:
        raise DataError(
            f"There is no CIFAR-10 in '{root}': give the folder that holds cifar-10-batches-py or "
            "cifar-10-batches-bin (--root DIR)."
        )
    order = cifar10_class_indices(card)
    images, labels = cifar10.read_test_set(place)
    return list(images.permute(0, 2, 3, 1).contiguous().numpy()), [
        order[label] for label in labels.tolist()
    ]


def cifar10_sample(root: Path, card: ModelCard) -> LabeledImages:
    """The 1,000 test images of CIFAR-10 that ship, wherever `root` is."""
    order = cifar10_class_indices(card)
    images, labels = sample_images("test")
    return list(images), [order[label] for label in labels.tolist()]


def cifar10_class_indices(card: ModelCard) -> list[int]:
    """Which of the model's classes each of CIFAR-10's is."""
    if len(card.class_names) != len(CLASSES):
        raise DataError(
            f"This model tells {len(card.class_names):,} classes apart and CIFAR-10 has {len(CLASSES)}: take images of its "
            "own classes."
        )
    return (
        [card.class_names.index(name) for name in CLASSES]
        if set(CLASSES) == set(card.class_names)
        else list(range(10))
    )


def imagenet_val_set(root: Path, card: ModelCard) -> LabeledImages:
    """Images in folders of WordNet numbers, in `root` or in `root/val`."""
    found = image_folder.list_images(root / "val" if (root / "val").is_dir() else root)
    places = image_folder.match_wordnet_folders({name for _, name in found}, card.class_names)
    return [path for path, _ in found], [places[name] for _, name in found]


def labeled_folder(root: Path, card: ModelCard) -> LabeledImages:
    """Images in folders that are called as the model's classes."""
    found = image_folder.list_images(root)
    places = image_folder.match_class_folders({name for _, name in found}, card.class_names)
    return [path for path, _ in found], [places[name] for _, name in found]


DATASETS: dict[str, Callable[[Path, ModelCard], LabeledImages]] = {
    "cifar10": cifar10_test_set,
    "imagenet": imagenet_val_set,
    "folder": labeled_folder,
    "sample": cifar10_sample,
}


def subsample(given: LabeledImages, limit: int | None) -> LabeledImages:
    """At most `limit` of the images, evenly from all: the first ones would be of one class."""
    images, labels = given
    if limit is None or limit >= len(labels):
        return given
    chosen = [place * len(labels) // limit for place in range(limit)]
    return [images[place] for place in chosen], [labels[place] for place in chosen]


def require_root(data: str, root: Path | None) -> Path:
    """The folder of the images; raises DataError where it is not said."""
    if root is None and data != "sample":
        raise DataError(f"Say where the images lie: --data {data} --root DIR.")
    return root.expanduser() if root else Path()
