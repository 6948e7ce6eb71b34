"""Test folders of images against torchvision's ImageFolder, class names, and batches."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_resnets.data import cifar10_sample, image_folder
from lightning_resnets.data.image_folder import (
    list_images,
    load_batches,
    match_class_folders,
    match_wordnet_folders,
)
from lightning_resnets.data.imagenet_classes import WNIDS, class_names
from lightning_resnets.errors import DataError, DataWarning, ImageError
from lightning_resnets.preprocessing import Preprocessing, preprocess
from lightning_resnets.utils.image_files import read_image

RANDOM = np.random.default_rng(0)


def make_preprocessing(**values: object) -> Preprocessing:
    given = {
        "input_size": (3, 32, 32),
        "mean": (0.5,) * 3,
        "std": (0.25,) * 3,
    }
    return Preprocessing(**{**given, **values})  # type: ignore[arg-type]


def draw(path: Path, width: int = 40, height: int = 36) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def test_found_as_torchvision_finds_them(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    for name in (
        "b/2.png",
        "b/10.PNG",
        "b/sub/1.jpg",
        "b/sub-a/0.jpg",
        "a b/x.jpeg",
        "B/x.bmp",
        "c/deep/er/x.tif",
    ):
        draw(tmp_path / name)
    (tmp_path / "b" / "words.txt").touch()
    (tmp_path / "top.png").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "c", target_is_directory=True)
    oracle = ImageFolder(str(tmp_path))
    expected = [(Path(path), oracle.classes[place]) for path, place in oracle.samples]
    assert list_images(tmp_path) == expected
    assert len(expected) == 8


def test_what_is_hidden_and_what_leads_in_a_circle_is_passed_over(tmp_path: Path) -> None:
    image = draw(tmp_path / "a" / "1.png")
    draw(tmp_path / ".cache" / "1.png")
    draw(tmp_path / "a" / ".thumbnails" / "1.png")
    (tmp_path / "a" / "._1.png").touch()
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    assert list_images(tmp_path) == [(image, "a")]


def test_a_folder_that_is_none_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no folder '.*nowhere'"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(DataError, match="There is no class folder in"):
        list_images(tmp_path)
    draw(tmp_path / "flat.png")
    with pytest.raises(DataError, match="There is no folder"):
        list_images(tmp_path / "flat.png")
    with pytest.raises(DataError, match="There is no class folder in"):
        list_images(tmp_path)
    draw(tmp_path / "cat" / "1.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match=r"There is no image in '.*dog'. Remove"):
        list_images(tmp_path)


def test_folders_are_matched_to_classes() -> None:
    classes = ("tench", "great white shark", "T-shirt")
    assert match_class_folders({"tench", "T-shirt"}, classes) == {"tench": 0, "T-shirt": 2}
    assert match_class_folders({"Great_White_Shark", "TENCH", "t_shirt"}, classes) == {
        "Great_White_Shark": 1,
        "TENCH": 0,
        "t_shirt": 2,
    }
    assert match_class_folders({"cat", "Cat"}, ("Cat", "cat")) == {"cat": 1, "Cat": 0}


def test_strange_names_go_by_order_only_where_all_are_strange() -> None:
    assert match_class_folders({"10", "9", "x"}, ("cat", "dog", "emu")) == {"10": 0, "9": 1, "x": 2}
    with pytest.raises(
        DataError,
        match=r"1 of 3 folders match no class of the model \('bird'\).*\('cat', 'dog', 'emu'\)",
    ):
        match_class_folders({"cat", "dog", "bird"}, ("cat", "dog", "emu"))
    with pytest.raises(DataError, match=r"2 of 2 folders match no class of the model \('x', 'y'\)"):
        match_class_folders({"x", "y"}, ("cat", "dog", "emu"))
    with pytest.raises(DataError, match="and 15 more"):
        match_class_folders({f"x{place:02}" for place in range(20)}, ("cat", "dog"))
    with pytest.raises(DataError, match="Use --dataset imagenet"):
        match_class_folders(WNIDS[:3], class_names())


def test_a_class_that_stands_twice_is_not_guessed() -> None:
    with pytest.raises(DataError, match=r"1 of 2 folders match no class of the model \('crane'\)"):
        match_class_folders({"crane", "tench"}, ("crane", "tench", "crane"))
    with pytest.raises(DataError, match=r"1 of 2 folders match no class of the model \('CRANE'\)"):
        match_class_folders({"CRANE", "tench"}, ("crane", "tench", "Crane"))


def test_wordnet_numbers_are_places() -> None:
    assert match_wordnet_folders(WNIDS, class_names()) == {
        number: place for place, number in enumerate(WNIDS)
    }
    assert match_wordnet_folders({WNIDS[7], WNIDS[999]}, class_names()) == {
        WNIDS[7]: 7,
        WNIDS[999]: 999,
    }
    assert match_wordnet_folders({WNIDS[7]}, (WNIDS[9], WNIDS[7])) == {
        WNIDS[7]: 1
    }  # a model trained on a few, by ImageFolder
    with pytest.raises(DataError, match=r"1 of 2 folders are not ImageNet classes \('cat'\)"):
        match_wordnet_folders({WNIDS[0], "cat"}, class_names())
    with pytest.raises(DataError, match="The model has 2 classes but ImageNet has 1,000"):
        match_wordnet_folders(WNIDS, ("cat", "dog"))


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_hold_every_picture_in_order_as_the_card_wants_it(
    tmp_path: Path, threads: int
) -> None:
    files = [draw(tmp_path / f"{place}.png", 70 + place, 60) for place in range(7)]
    wanted = make_preprocessing(
        channel_order="BGR",
        crop_pct=0.8,
        interpolation="bicubic",
        mean=(0.1, 0.5, 0.9),
        std=(0.1, 0.2, 0.3),
    )
    made = list(load_batches(files, wanted, 3, threads))
    assert [len(batch) for batch in made] == [3, 3, 1]
    for file, values in zip(files, torch.cat(made), strict=True):
        pixels = np.asarray(Image.open(file))
        expected = preprocess(
            pixels, (3, 32, 32), (0.1, 0.5, 0.9), (0.1, 0.2, 0.3), "BGR", 0.8, "bicubic"
        )
        assert torch.equal(values, expected[0])


def test_a_square_picture_that_nothing_is_cut_off_is_scaled_without_a_warning(
    tmp_path: Path,
) -> None:
    assert next(
        load_batches([draw(tmp_path / "square.png", 64, 64)], make_preprocessing(), 1)
    ).shape == (
        1,
        3,
        32,
        32,
    )


def test_small_jpegs_are_decoded_whole(tmp_path: Path) -> None:
    for width, height in ((37, 500), (500, 375), (4095, 20)):
        file = draw(tmp_path / f"{width}.jpg", width, height)
        np.testing.assert_array_equal(read_image(file), np.asarray(Image.open(file)))


def test_no_more_than_two_batches_are_read_ahead() -> None:
    taken = []

    def source() -> object:
        for place in range(100):
            taken.append(place)
            yield np.full((32, 32, 3), place, np.uint8)

    made = load_batches(source(), make_preprocessing(), 5, 2)  # type: ignore[arg-type]
    next(made)
    assert len(taken) == 10
    next(made)
    assert len(taken) == 15
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images")]


def test_a_file_that_is_no_picture_names_itself(tmp_path: Path) -> None:
    good, text = draw(tmp_path / "cat" / "1.png"), tmp_path / "dog" / "1.jpg"
    text.parent.mkdir()
    text.write_text("no image")
    with pytest.raises(ImageError, match=r"Cannot read '.*/dog/1.jpg' as an image"):
        list(load_batches([good, text, *[good] * 50], make_preprocessing(), 4, 2))
    whole = draw(tmp_path / "dog" / "2.jpg").read_bytes()
    (tmp_path / "dog" / "2.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"Cannot read '.*/dog/2.jpg': the image is damaged"):
        list(load_batches([tmp_path / "dog" / "2.jpg"], make_preprocessing(), 4, 2))


def test_no_picture_gives_no_batch() -> None:
    assert list(load_batches([], make_preprocessing(), 4)) == []


def test_files_and_arrays_are_alike(tmp_path: Path) -> None:
    arrays = list(cifar10_sample.load_sample("test")[0][:6])
    files = [tmp_path / f"{place}.png" for place in range(6)]
    for file, pixels in zip(files, arrays, strict=True):
        Image.fromarray(pixels).save(file)
    for one, other in zip(
        image_folder.load_batches(files, make_preprocessing(), 4),
        image_folder.load_batches(arrays, make_preprocessing(), 4),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_images_of_other_formats_are_counted_and_said(tmp_path: Path) -> None:
    draw(tmp_path / "cat" / "1.png")
    draw(tmp_path / "dog" / "1.jpg")
    for name in (
        "cat/2.gif",
        "cat/deep/3.GIF",
        "dog/4.heic",
        "dog/5.svg",
        "dog/.6.svg",
        "dog/7.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.warns(DataWarning, match=r"^4 images in .* left out") as caught:
        found = image_folder.list_images(tmp_path)
    assert [path.name for path, _ in found] == ["1.png", "1.jpg"]
    message = str(caught[0].message)
    assert "(2 .gif, 1 .heic, 1 .svg). Convert them to PNG or JPEG." in message
