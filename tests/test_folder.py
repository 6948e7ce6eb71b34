"""Folders of pictures: torchvision's ImageFolder as oracle for what is found, every way of naming classes, batches."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_resnets.checkpoint.card import Card
from lightning_resnets.data import folder, sample
from lightning_resnets.data.folder import batches, matched, numbered, pictures
from lightning_resnets.data.imagenet_classes import WNIDS, names
from lightning_resnets.data.official import DataError
from lightning_resnets.image import PictureError, prepare, read_picture

RANDOM = np.random.default_rng(0)


def card(**values: object) -> Card:
    given = {"arch": "resnet20", "classes": ("cat", "dog"), "size": (3, 32, 32), "mean": (0.5,) * 3, "std": (0.25,) * 3}
    return Card(**{**given, **values})  # type: ignore[arg-type]


def draw(path: Path, width: int = 40, height: int = 36) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return path


def test_found_as_torchvision_finds_them(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    for name in ("b/2.png", "b/10.PNG", "b/sub/1.jpg", "b/sub-a/0.jpg", "a b/x.jpeg", "B/x.bmp", "c/deep/er/x.tif"):
        draw(tmp_path / name)
    (tmp_path / "b" / "words.txt").touch()
    (tmp_path / "top.png").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "c", target_is_directory=True)
    oracle = ImageFolder(str(tmp_path))
    expected = [(Path(path), oracle.classes[place]) for path, place in oracle.samples]
    assert pictures(tmp_path) == expected
    assert len(expected) == 8


def test_what_is_hidden_and_what_leads_in_a_circle_is_passed_over(tmp_path: Path) -> None:
    picture = draw(tmp_path / "a" / "1.png")
    draw(tmp_path / ".cache" / "1.png")
    draw(tmp_path / "a" / ".thumbnails" / "1.png")
    (tmp_path / "a" / "._1.png").touch()
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    assert pictures(tmp_path) == [(picture, "a")]


def test_a_folder_that_is_none_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no folder '.*nowhere'"):
        pictures(tmp_path / "nowhere")
    with pytest.raises(DataError, match="There is no class folder in"):
        pictures(tmp_path)
    draw(tmp_path / "flat.png")
    with pytest.raises(DataError, match="There is no folder"):
        pictures(tmp_path / "flat.png")
    with pytest.raises(DataError, match="There is no class folder in"):
        pictures(tmp_path)
    draw(tmp_path / "cat" / "1.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(DataError, match=r"There is no picture in '.*dog':"):
        pictures(tmp_path)


def test_folders_are_matched_to_classes() -> None:
    classes = ("tench", "great white shark", "T-shirt")
    assert matched({"tench", "T-shirt"}, classes) == {"tench": 0, "T-shirt": 2}
    assert matched({"Great_White_Shark", "TENCH", "t_shirt"}, classes) == {
        "Great_White_Shark": 1,
        "TENCH": 0,
        "t_shirt": 2,
    }
    assert matched({"cat", "Cat"}, ("Cat", "cat")) == {"cat": 1, "Cat": 0}


def test_strange_names_go_by_order_only_where_all_are_strange() -> None:
    assert matched({"10", "9", "x"}, ("cat", "dog", "emu")) == {"10": 0, "9": 1, "x": 2}
    with pytest.raises(DataError, match=r"1 of 3 folders are no class of the net \(bird\).*\(cat, dog, emu\)"):
        matched({"cat", "dog", "bird"}, ("cat", "dog", "emu"))
    with pytest.raises(DataError, match=r"2 of 2 folders are no class of the net \(x, y\)"):
        matched({"x", "y"}, ("cat", "dog", "emu"))
    with pytest.raises(DataError, match="and 15 more"):
        matched({f"x{place:02}" for place in range(20)}, ("cat", "dog"))
    with pytest.raises(DataError, match="say --data imagenet"):
        matched(WNIDS[:3], names())


def test_a_class_that_stands_twice_is_not_guessed() -> None:
    with pytest.raises(DataError, match=r"1 of 2 folders are no class of the net \(crane\)"):
        matched({"crane", "tench"}, ("crane", "tench", "crane"))
    with pytest.raises(DataError, match=r"1 of 2 folders are no class of the net \(CRANE\)"):
        matched({"CRANE", "tench"}, ("crane", "tench", "Crane"))


def test_wordnet_numbers_are_places() -> None:
    assert numbered(WNIDS, names()) == {number: place for place, number in enumerate(WNIDS)}
    assert numbered({WNIDS[7], WNIDS[999]}, names()) == {WNIDS[7]: 7, WNIDS[999]: 999}
    assert numbered({WNIDS[7]}, (WNIDS[9], WNIDS[7])) == {WNIDS[7]: 1}  # a net trained on a few, by ImageFolder
    with pytest.raises(DataError, match=r"1 of 2 folders are none of ImageNet's classes \(cat\)"):
        numbered({WNIDS[0], "cat"}, names())
    with pytest.raises(DataError, match="This net tells 2 classes apart and ImageNet has 1,000"):
        numbered(WNIDS, ("cat", "dog"))


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_hold_every_picture_in_order_as_the_card_wants_it(tmp_path: Path, threads: int) -> None:
    files = [draw(tmp_path / f"{place}.png", 70 + place, 60) for place in range(7)]
    wanted = card(channels="BGR", crop=0.8, resample="bicubic", mean=(0.1, 0.5, 0.9), std=(0.1, 0.2, 0.3))
    made = list(batches(files, wanted, 3, threads))
    assert [len(batch) for batch in made] == [3, 3, 1]
    for file, values in zip(files, torch.cat(made), strict=True):
        pixels = np.asarray(Image.open(file))
        expected = prepare(pixels, (3, 32, 32), (0.1, 0.5, 0.9), (0.1, 0.2, 0.3), "BGR", 0.8, "bicubic")
        assert torch.equal(values, expected[0])


def test_a_square_picture_that_nothing_is_cut_off_is_scaled_without_a_warning(tmp_path: Path) -> None:
    assert next(batches([draw(tmp_path / "square.png", 64, 64)], card(), 1)).shape == (1, 3, 32, 32)


def test_small_jpegs_are_decoded_whole(tmp_path: Path) -> None:
    for width, height in ((37, 500), (500, 375), (4095, 20)):
        file = draw(tmp_path / f"{width}.jpg", width, height)
        np.testing.assert_array_equal(read_picture(file), np.asarray(Image.open(file)))


def test_no_more_than_two_batches_are_read_ahead() -> None:
    taken = []

    def source() -> object:
        for place in range(100):
            taken.append(place)
            yield np.full((32, 32, 3), place, np.uint8)

    made = batches(source(), card(), 5, 2)  # type: ignore[arg-type]
    next(made)
    assert len(taken) == 10
    next(made)
    assert len(taken) == 15
    made.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pictures")]


def test_a_file_that_is_no_picture_names_itself(tmp_path: Path) -> None:
    good, text = draw(tmp_path / "cat" / "1.png"), tmp_path / "dog" / "1.jpg"
    text.parent.mkdir()
    text.write_text("no picture")
    with pytest.raises(PictureError, match=r"'.*/dog/1.jpg' is no picture that can be read"):
        list(batches([good, text, *[good] * 50], card(), 4, 2))
    whole = draw(tmp_path / "dog" / "2.jpg").read_bytes()
    (tmp_path / "dog" / "2.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PictureError, match=r"'.*/dog/2.jpg' is a damaged picture"):
        list(batches([tmp_path / "dog" / "2.jpg"], card(), 4, 2))


def test_no_picture_gives_no_batch() -> None:
    assert list(batches([], card(), 4)) == []


def test_files_and_arrays_are_alike(tmp_path: Path) -> None:
    arrays = list(sample.pictures("test")[0][:6])
    files = [tmp_path / f"{place}.png" for place in range(6)]
    for file, pixels in zip(files, arrays, strict=True):
        Image.fromarray(pixels).save(file)
    for one, other in zip(folder.batches(files, card(), 4), folder.batches(arrays, card(), 4), strict=True):
        assert torch.equal(one, other)
