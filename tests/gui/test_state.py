"""From wish and sight to screen: pure, so every case can be written down."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from gui.descriptions import describe_edit
from gui.graph import Edit, find_edit, name_suffix, short_name, with_edit, without_edit
from gui.state import (
    Catalog,
    ImageInput,
    Request,
    Result,
    last_good_request,
    replace_rejected_image,
)
from gui.view_state import ClassBar, ViewState, edit_chip, make_view_state, prediction_bars
from tests.helpers.fake_engine import CLASSES, FakeEngine, diagram

CUT = Edit("scale", "layer1.0.add", 0, 0.0)
FADE = Edit("scale", "layer1.0.add", 1, 0.5)


def seen(**changes: object) -> tuple[Request, Result]:
    request = replace(
        Request(checkpoint="a.ckpt", image=ImageInput("cat"), selected="layer1.0.add"), **changes
    )  # type: ignore[arg-type]
    return request, FakeEngine().run(request)


def test_without_a_result_the_start_page_is_shown() -> None:
    assert make_view_state(Request(), Result()).page == "start"
    assert make_view_state(Request(), Result()).status == ""
    assert make_view_state(Request(checkpoint="a.ckpt"), Result()).status == "Opening…"


def test_a_result_fills_the_screen() -> None:
    request, result = seen()
    screen = make_view_state(request, result)
    assert (screen.page, screen.title, screen.selected) == ("model", "resnet20", "layer1.0.add")
    assert screen.node
    assert screen.node.kind == "add"
    assert len(screen.bars) == 5
    assert screen.image_label == "cat"


def test_edits_are_shown_before_the_engine_answers() -> None:
    request, result = seen()
    screen = make_view_state(replace(request, edits=(CUT,), selected="conv1"), result)
    assert [one.text for one in screen.chips] == ["cut shortcut of layer1.0"]
    assert screen.selected == "conv1"
    assert screen.node == diagram().node("layer1.0.add"), (
        "the heading belongs to the maps that are shown"
    )


def test_edits_of_the_next_model_are_not_drawn_on_the_previous_one() -> None:
    request, result = seen()
    screen = make_view_state(replace(request, checkpoint="b.ckpt", edits=(CUT,)), result)
    assert (screen.edits, screen.chips, screen.status) == ((), (), "Opening…")


def test_a_rejected_image_is_replaced() -> None:
    bad, good, sample = ImageInput("bad"), ImageInput("good"), ImageInput("sample")
    request, catalog = (
        Request(checkpoint="a.ckpt", image=bad, edits=(CUT,)),
        Catalog(samples=(sample, ImageInput("second"))),
    )
    for last, expected in (
        (Request(), sample),
        (Request(checkpoint="a.ckpt", image=good), good),
        (Request(checkpoint="a.ckpt", image=bad), sample),
    ):
        assert replace_rejected_image(request, last, catalog) == replace(request, image=expected)
    assert replace_rejected_image(request, Request(), Catalog()).image is None


def test_a_failed_request_goes_back_to_the_last_good_one() -> None:
    cat, result = ImageInput("cat"), FakeEngine().run(Request(checkpoint="a.ckpt"))
    request, good = (
        Request(checkpoint="bad.ckpt", image=cat, gate_order="weight"),
        Request(checkpoint="a.ckpt", edits=(CUT,)),
    )
    assert last_good_request(request, good, result) == replace(good, gate_order="weight")
    assert last_good_request(request, Request(), Result()) == Request(
        image=cat, gate_order="weight"
    )
    assert last_good_request(request, good, Result()) == Request(gate_order="weight")


def test_probabilities_without_edits_are_shown_only_with_edits() -> None:
    assert all(bar.before is None for bar in make_view_state(*seen()).bars)
    assert all(bar.before is not None for bar in make_view_state(*seen(edits=(FADE,))).bars)


def test_the_best_class_without_edits_stays_in_the_list() -> None:
    now, before = np.linspace(0.0, 0.18, 10), np.zeros(10)
    before[0] = 1.0
    found = prediction_bars(
        Result(probabilities=now, probabilities_without_edits=before, edits=(CUT,)), CLASSES
    )
    assert [bar.label for bar in found] == ["truck", "ship", "horse", "frog", "airplane"]
    assert found[-1] == ClassBar("airplane", 0.0, 1.0)


def test_bars_are_sorted_and_ties_keep_the_order_of_classes() -> None:
    found = prediction_bars(Result(probabilities=np.full(10, 0.1)), CLASSES)
    assert [bar.label for bar in found] == list(CLASSES[:5])


def test_a_model_of_few_classes_has_few_bars() -> None:
    assert len(prediction_bars(Result(probabilities=np.array([0.4, 0.6])), ("a", "b"))) == 2


def test_edits_are_unique_by_key() -> None:
    edits = with_edit(with_edit((CUT,), FADE), replace(CUT, value=0.3))
    assert edits == (FADE, replace(CUT, value=0.3))
    assert find_edit(edits, FADE.key) is FADE
    assert without_edit(edits, CUT.key) == (FADE,)


def test_a_scale_by_1_is_not_an_edit_but_a_hold_at_1_is() -> None:
    assert with_edit((CUT,), replace(CUT, value=1.0)) == ()
    hold = Edit("hold", "layer1.0.se.gate", 1, 1.0)
    assert with_edit((), hold) == (hold,)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (CUT, "cut shortcut of layer1.0"),
        (FADE, "branch of layer1.0 × 0.50"),
        (Edit("hold", "layer1.0.se.gate", 1, 1.0), "gate of layer1.0.se set to 1"),
        (Edit("hold", "layer1.0.se.gate", 1, 0.5), "hold gate weights of layer1.0.se at 0.5"),
        (Edit("scale", "layer1.0.se.gate", 0, 0.25), "input of layer1.0.se × 0.25"),
        (Edit("scale", "join.concat", 0, 0.0), "cut layer1.0 → join"),
        (Edit("scale", "join.concat", 1, 0.0), "cut part 2 → join"),
        (Edit("drop", "layer1.0", 0, 0.0), "drop layer1.0"),
    ],
)
def test_edits_in_words(edit: Edit, words: str) -> None:
    assert describe_edit(edit, diagram()) == words
    assert edit_chip(edit, diagram()).key == edit.key


def test_chips_have_the_kind_of_their_merge() -> None:
    kinds = [
        edit_chip(Edit("scale", name, 0, 0.0), diagram()).kind
        for name in ("layer1.0.add", "join.concat", "conv1")
    ]
    assert kinds == ["add", "concat", "block"]


@pytest.mark.parametrize(
    ("name", "shortened", "last"),
    [
        ("layer1.0.add", "layer1.0", "layer1.0"),
        ("features.denseblock1.denselayer3.concat", "denseblock1.denselayer3", "layer3"),
        ("features.conv0", "conv0", "conv0"),
        ("add", "add", "add"),
    ],
)
def test_short_names(name: str, shortened: str, last: str) -> None:
    assert short_name(name) == shortened
    assert name_suffix(name) == last


def test_state_is_frozen_and_slotted() -> None:
    with pytest.raises(FrozenInstanceError):
        Request().checkpoint = "a"  # type: ignore[misc]
    for kind in (Request, Result, ViewState, Edit, ImageInput):
        assert "__slots__" in vars(kind), kind


def test_images_are_compared_by_identity() -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    one, other = ImageInput("a", pixels=pixels), ImageInput("a", pixels=pixels)
    assert one != other
    assert Request(image=one) == Request(image=one)
