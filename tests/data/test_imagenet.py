"""Test ImageNet against torchvision, seeds, resuming, ranks, streamed copies and recipes."""

import itertools
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lightning_resnets.cli.main import main
from lightning_resnets.data.augment import Augmentation
from lightning_resnets.data.imagenet import ImageNet
from lightning_resnets.data.imagenet_classes import WNIDS, class_names
from lightning_resnets.data.imagenet_source import split_train_val
from lightning_resnets.data.loaders import EvalLoader
from lightning_resnets.data.mixup import mix_targets, sample_mix
from lightning_resnets.data.streaming import StreamedImages
from lightning_resnets.errors import DataError, ImageError
from lightning_resnets.preprocessing import preprocess
from lightning_resnets.recipes import list_recipes
from lightning_resnets.training.callbacks.model_card import ModelCardCallback
from lightning_resnets.utils.image_files import read_image
from tests.helpers.imagenet_images import photographs

# Python 3.12 and later warn of every fork in a process that has threads; torch's loader forks.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
QUIET = [
    "--trainer.accelerator",
    "cpu",
    "--trainer.precision",
    "32-true",
    "--trainer.enable_progress_bar",
    "false",
]
Batches = list[tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy 24 images of 8 classes to train, and 10 others of 5 of these classes to val."""
    root = tmp_path_factory.mktemp("imagenet")
    files = sorted(photographs().glob("*/*.jpg"))
    for place, file in enumerate(files[:34]):
        part, number = ("train", WNIDS[place % 8]) if place < 24 else ("val", WNIDS[place % 5])
        (root / part / number).mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / part / number)
    return root


def module(root: Path | str, stage: str = "fit", **options: Any) -> ImageNet:
    given = {
        "batch_size": 5,
        "train_image_size": 32,
        "eval_image_size": 48,
        "eval_batch_size": 4,
        "num_workers": 0,
    }
    data = ImageNet(str(root), **{**given, **options})  # type: ignore[arg-type]
    data.setup(stage)
    return data


def ready(data: ImageNet, count: int) -> Batches:
    """Return the next `count` batches, across epochs, as a model gets them."""

    def endless() -> Any:
        while True:
            yield from epochs

    epochs = data.train_dataloader()
    batches = itertools.islice(endless(), count)
    found = [data.on_after_batch_transfer(batch, 0) for batch in batches]
    # As a Trainer does: it stops the worker processes.
    data.teardown()
    return found


def same(one: Batches, other: Batches) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in pairs)


def test_files_and_classes_are_those_of_torchvision(root: Path) -> None:
    from torchvision.datasets import ImageFolder

    data = module(root, "test")
    assert data.test_set is not None
    source, chosen = data.test_set
    oracle = ImageFolder(str(root / "val"))
    expected = [
        (Path(path).read_bytes(), WNIDS.index(oracle.classes[place]))
        for path, place in oracle.samples
    ]
    assert [source.read(int(number)) for number in chosen] == expected


@pytest.mark.parametrize(
    ("crop", "resample"), [(0.9655, "bilinear"), (1.0, "bilinear"), (0.875, "bicubic")]
)
def test_evaluation_preprocesses_like_the_app(root: Path, crop: float, resample: str) -> None:
    data = module(root, "test", eval_crop_pct=crop)
    data.interpolation = resample
    images = torch.cat(
        [data.on_after_batch_transfer(batch, 0)[0] for batch in data.test_dataloader()]
    )
    files = sorted((root / "val").glob("*/*"))
    expected = [
        preprocess(read_image(file), data.input_size, data.mean, data.std, "RGB", crop, resample)
        for file in files
    ]
    assert torch.equal(images, torch.cat(expected))


def test_square_images_equal_torchvision_up_to_rounding(root: Path, tmp_path: Path) -> None:
    """Compare square images; of others we crop before resizing, and torchvision after."""
    from torchvision.transforms import v2

    for part in ("train", "val"):
        (tmp_path / part / WNIDS[3]).mkdir(parents=True)
        for place, file in enumerate(sorted((root / "val").glob("*/*"))):
            Image.open(file).resize((256, 256)).save(tmp_path / part / WNIDS[3] / f"{place}.png")
    data = module(tmp_path, "test", eval_image_size=224)
    reference = v2.Compose([v2.PILToTensor(), v2.Resize(232, antialias=True), v2.CenterCrop(224)])
    whole = torch.cat([images for images, _ in data.test_dataloader()])
    for place, image in enumerate(whole):
        expected = reference(Image.open(tmp_path / "val" / WNIDS[3] / f"{place}.png"))
        assert (image.float() - expected.float()).abs().max() <= 1


def test_labels_of_mixed_batches_are_the_mixed_labels(root: Path) -> None:
    plain, mixes = module(root), module(root, mixup_alpha=0.2, cutmix_alpha=1.0)
    plan = Augmentation(crop_padding=0, mixup=0.2, cutmix=1.0)
    for position, ((images, labels), (other, targets)) in enumerate(
        zip(ready(plain, 4), ready(mixes, 4), strict=True)
    ):
        assert torch.equal(targets, mix_targets(labels, 1000, sample_mix(plan, 32, 0, 0, position)))
        assert targets.dtype == torch.float32
        assert not torch.equal(images, other)
        assert other.is_contiguous(memory_format=torch.channels_last)


def test_an_epoch_has_each_image_once(root: Path) -> None:
    data = module(root, batch_size=6, train_image_size=8)
    epochs = data.train_dataloader()
    orders = [[key.image_index for batch in epochs.key_sampler for key in batch]]
    epochs.key_sampler.epoch = 1
    orders += [[key.image_index for batch in epochs.key_sampler for key in batch]]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(24))
    assert orders[0] != orders[1]


def test_repeats_of_an_image_differ_and_go_to_different_ranks(root: Path) -> None:
    data = module(root, batch_size=6, num_augment_repeats=2)
    keys = [key for batch in data.train_dataloader().key_sampler for key in batch]
    assert len({key.image_index for key in keys}) == 12
    assert [key.repeat for key in keys] == [0, 1] * 12
    crops = data.train_dataloader().batches.loader.dataset
    assert not torch.equal(crops.load(keys[0])[0], crops.load(keys[1])[0])  # type: ignore[attr-defined]
    shares = []
    for rank in (0, 1):
        order = data.train_dataloader().key_sampler
        order.rank, order.world_size = rank, 2
        shares.append([key for batch in order for key in batch])
    assert [key.image_index for key in shares[0]] == [key.image_index for key in shares[1]]
    assert {key.repeat for key in shares[0]} == {0}


@pytest.mark.parametrize("policy", [None, "trivial", "rand"])
def test_batches_depend_on_the_seed_alone(root: Path, policy: Any) -> None:
    options = {
        "auto_augment": policy,
        "random_erase_prob": 0.5,
        "mixup_alpha": 0.2,
        "cutmix_alpha": 1.0,
    }
    first = ready(module(root, **options), 9)
    torch.manual_seed(5)  # what others draw changes nothing, and nothing is drawn from them
    state = torch.get_rng_state()
    assert same(first, ready(module(root, **options), 9))
    assert torch.equal(torch.get_rng_state(), state)
    assert not same(first, ready(module(root, seed=1, **options), 9))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [0, 3, 4, 6])
def test_resumed_at_any_batch_it_goes_on_bit_for_bit(root: Path, workers: int, done: int) -> None:
    options = {
        "auto_augment": "trivial",
        "random_erase_prob": 0.3,
        "mixup_alpha": 0.2,
        "cutmix_alpha": 1.0,
    }
    whole = ready(module(root, **options), 11)
    first, second = (module(root, num_workers=workers, **options) for _ in range(2))
    assert same(ready(first, done), whole[:done])
    second.load_state_dict(first.state_dict())
    assert same(ready(second, 11 - done), whole[done:])


def test_an_epoch_that_is_left_early_is_followed_by_a_whole_one(root: Path) -> None:
    data = module(root, num_workers=1)
    epochs, whole = data.train_dataloader(), module(root).train_dataloader()
    for _ in range(3):
        part, full = list(itertools.islice(epochs, 2)), list(whole)
        assert len(full) == 4
        assert same([batch[:2] for batch in part], [batch[:2] for batch in full[:2]])
    data.teardown()


def test_processes_share_an_epoch_and_the_test_without_overlap_or_padding(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def share(rank: int, world: int) -> tuple[list[int], Tensor]:
        monkeypatch.setattr(
            ImageNet, "_device_and_rank", lambda _: (torch.device("cpu"), rank, world)
        )
        train, test = module(root, batch_size=4), module(root, "test")
        return (
            [key.image_index for batch in train.train_dataloader().key_sampler for key in batch],
            torch.cat([pixels for pixels, _ in test.test_dataloader()]),
        )

    (alone, images), *shares = share(0, 1), *(share(rank, 3) for rank in range(3))
    assert sorted(number for numbers, _ in shares for number in numbers) == sorted(alone)
    assert [len(pixels) for _, pixels in shares] == [4, 3, 3]
    for rank, (_, pixels) in enumerate(shares):
        assert torch.equal(pixels, images[rank::3])


def test_image_size_grows_by_epoch(root: Path) -> None:
    data = module(root, train_image_size={0: 16, 1: 24, 3: 40})
    assert [images.shape[-1] for images, _ in ready(data, 16)[::4]] == [16, 24, 24, 40]


def test_validation_is_split_off_evenly_and_reproducibly(root: Path) -> None:
    data = module(root, num_val_images=16)
    assert data.train_set is not None
    assert data.val_set is not None
    (source, train), (_, held) = data.train_set, data.val_set
    assert sorted([*train.tolist(), *held.tolist()]) == list(range(24))
    assert (
        torch.tensor([source.read(int(number))[1] for number in held]).bincount().tolist()
        == [2] * 8
    )
    assert torch.equal(split_train_val(source, 16, 0)[1], held)
    assert not torch.equal(split_train_val(source, 16, 1)[1], held)
    loader = data.val_dataloader()
    assert isinstance(loader, EvalLoader)
    assert sum(len(labels) for _, labels in loader) == 16
    assert not any("val" in str(source.name(number)).split("/") for number in range(24))


def test_a_folder_of_classes_alone_is_tested_on_what_is_held_out_and_says_so(root: Path) -> None:
    with pytest.warns(UserWarning, match="has no val folder: testing on the validation images"):
        data = module(root / "train", "test", num_val_images=8)
    assert data.val_set is data.test_set
    with pytest.warns(UserWarning, match="testing on the training images"):
        data = module(root / "train", "test")
    assert sum(len(labels) for _, labels in data.test_dataloader()) == 24


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("role", ["train", "val"])
def test_damaged_image_raises_with_its_name(
    root: Path, tmp_path: Path, workers: int, role: str
) -> None:
    shutil.copytree(root, tmp_path / "copy")
    victim = sorted((tmp_path / "copy" / role).glob("*/*"))[1]
    victim.write_bytes(victim.read_bytes()[:5000])
    data = module(
        tmp_path / "copy", "fit" if role == "train" else "test", batch_size=24, num_workers=workers
    )
    with pytest.raises(ImageError) as caught:
        list(data.train_dataloader() if role == "train" else data.test_dataloader())
    expected = f"Cannot read '{victim}': the image is damaged. Choose another or save it again."
    assert str(caught.value) == expected
    victim.unlink()
    with pytest.raises(DataError, match=rf"Cannot read '{victim}' \(No such file or directory\)"):
        list(data.train_dataloader() if role == "train" else data.test_dataloader())
    data.teardown()


def test_invalid_folders_raise(root: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"There is no ImageNet in '.*nowhere'.*--data.data_dir DIR"
    ):
        module(tmp_path / "nowhere")
    with pytest.raises(DataError, match="There is no class folder in"):
        module(tmp_path)
    (tmp_path / "val").mkdir()
    with pytest.raises(
        DataError, match=r"There is no folder '.*train'. Put it beside the other one"
    ):
        module(tmp_path)
    shutil.copytree(root / "train", tmp_path / "train")
    (tmp_path / "train" / WNIDS[0]).rename(tmp_path / "train" / "cat")
    with pytest.raises(DataError, match=r"1 of 8 folders are not ImageNet classes \('cat'\)"):
        module(tmp_path)
    with pytest.raises(
        DataError, match=r"24 images are fewer than one batch of 25 on 1 device\(s\)"
    ):
        module(root, batch_size=25).train_dataloader()
    with pytest.raises(
        DataError, match="num_val_images must be below the number of images, 24, got 24"
    ):
        module(root, num_val_images=24)
    with pytest.raises(DataError, match="There are no validation images"):
        module(root).val_dataloader()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch_size": 0}, "batch_size must be an integer of at least 1"),
        ({"train_image_size": {5: 32}}, "must contain epoch 0"),
        ({"eval_crop_pct": 1.5}, r"eval_crop_pct must be 0\.1 to 1"),
        ({"auto_augment_magnitude": 31}, "auto_augment_magnitude must be an integer of at most 30"),
    ],
)
def test_invalid_options_raise(root: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        module(root, **options)


def test_model_card_has_all_preprocessing_fields(root: Path) -> None:
    data, trainer, model = (
        module(root),
        Mock(),
        Mock(hparams={"arch": "resnet18", "model_kwargs": None}),
    )
    trainer.configure_mock(
        datamodule=data,
        callback_metrics={},
        current_epoch=1,
        global_step=4,
        precision="32-true",
        world_size=1,
    )
    card = ModelCardCallback("resnet18-imagenet").card(trainer, model)
    assert (card.dataset, card.class_names, data.num_classes) == ("imagenet", class_names(), 1000)
    assert (card.input_size, card.crop_pct, card.interpolation) == ((3, 48, 48), 0.9655, "bilinear")
    assert card.training["train_images"] == 24


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [name for name in list_recipes() if "-imagenet" in name])
def test_every_recipe_runs(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "lamb" in list_recipes()[recipe].read_text() and not find_spec("timm"):
        pytest.skip("timm, whose optimizer the recipe takes, is not installed")
    monkeypatch.chdir(tmp_path)
    small = [
        "--data.data_dir",
        str(photographs()),
        "--data.batch_size",
        "4",
        "--data.num_workers",
        "0",
    ]
    small += ["--data.train_image_size", "64", "--model.compile", "false"]
    main(["fit", "--config", recipe, *QUIET, *small, "--trainer.fast_dev_run", "1"])


@pytest.mark.slow
def test_all_thousand_pictures_come_once() -> None:
    data = module(photographs(), batch_size=100, train_image_size=8, num_workers=2)
    labels = torch.cat([labels for _, labels, _ in data.train_dataloader()])
    assert labels.bincount().tolist() == [1] * 1000
    assert np.unique(data.train_set[0].labels).tolist() == list(range(1000))  # type: ignore[index,union-attr]


@pytest.fixture(scope="module")
def copy(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the images as a litdata-optimized copy."""
    if not find_spec("litdata"):
        pytest.skip("litdata is not installed: pip install lightning-resnets[litdata]")
    out = tmp_path_factory.mktemp("streamed")
    command = [
        sys.executable,
        "-m",
        "lightning_resnets.data.streaming",
        str(root),
        str(out),
        "--num-workers",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert not done.returncode, done.stderr
    assert done.stdout.splitlines()[-1] == f"{out}: 34 images"
    return out


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_streamed_copy_gives_the_same_pictures(root: Path, copy: Path, workers: int) -> None:
    files, stream = module(root), module(copy, num_workers=workers)
    assert same(ready(files, 9), ready(stream, 9))
    files, stream = module(root, "test"), module(copy, "test", num_workers=workers)
    assert same(list(files.test_dataloader()), list(stream.test_dataloader()))
    stream.teardown()
    alone = module(copy / "train", num_val_images=3)
    assert alone.val_set is not None
    assert len(alone.val_set[1]) == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_stream_that_is_none_gets_a_sentence(tmp_path: Path, copy: Path) -> None:
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(DataError, match=r"Cannot stream '.*' \(.*\)\. Check the address"):
        module(tmp_path)
    stream = StreamedImages(str(copy / "val"))
    stream.items = [(0, 1)]
    with pytest.raises(
        DataError, match=r"Image 0 of .* is not an image with its class\. Make the copy with"
    ):
        stream.read(0)


def test_without_litdata_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning_resnets.data.streaming.find_spec", lambda _: None)
    with pytest.raises(
        DataError, match=r"streamed by litdata, which is not installed: pip install"
    ):
        module("s3://bucket/imagenet")


def with_damaged_images(root: Path, folder: Path, count: int) -> Path:
    """Copy the images and cut some files of train and of val short."""
    shutil.copytree(root, folder)
    for part in ("train", "val"):
        for victim in sorted((folder / part).glob("*/*"))[:count]:
            victim.write_bytes(victim.read_bytes()[:5000])
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_damaged_images_are_skipped_and_counted(root: Path, tmp_path: Path, workers: int) -> None:
    copy = with_damaged_images(root, tmp_path / "copy", 3)
    options = {"batch_size": 8, "num_workers": workers, "skip_damaged_images": True}
    data, whole = module(copy, **options), module(root, batch_size=8)
    with pytest.warns(UserWarning, match=r"^Skipped a damaged image\. Cannot read '"):
        batches = list(data.train_dataloader())
    keys = list(whole.train_dataloader().key_sampler)
    damaged = [[key.image_index < 3 for key in batch] for batch in keys]
    for (images, labels, _), (clean, true, _), gaps in zip(
        batches, whole.train_dataloader(), damaged, strict=True
    ):
        assert images.shape == clean.shape
        readable = ~torch.tensor(gaps)
        assert torch.equal(images[readable], clean[readable])
        assert torch.equal(labels[readable], true[readable])
        # Each gap has another image of the batch, with its own label.
        for gap in torch.tensor(gaps).nonzero().flatten():
            same_image = (clean[readable].flip(-1) == images[gap]).flatten(1).all(1)
            assert true[readable][same_image].tolist() == [labels[gap]]
    with pytest.warns(UserWarning, match=r"^Skipped 3 damaged images in all\. Cannot read '"):
        data.teardown("fit")


def test_damaged_images_are_left_out_of_a_test_but_not_of_predictions(
    root: Path, tmp_path: Path
) -> None:
    copy = with_damaged_images(root, tmp_path / "copy", 5)
    data, whole = module(copy, "test", skip_damaged_images=True), module(root, "test")
    with pytest.warns(UserWarning, match="Skipped a damaged image"):
        batches = list(data.test_dataloader())
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    clean, true = (torch.cat(parts) for parts in zip(*whole.test_dataloader(), strict=True))
    assert torch.equal(images, clean[5:])
    assert torch.equal(labels, true[5:])
    with pytest.raises(ImageError, match="is damaged"):
        list(data.predict_dataloader())


def test_batch_of_damaged_images_alone_raises(root: Path, tmp_path: Path) -> None:
    copy = with_damaged_images(root, tmp_path / "copy", 24)
    data = module(copy, batch_size=24, skip_damaged_images=True)
    with pytest.raises(ImageError, match="is damaged"):
        list(data.train_dataloader())
