"""The normalization that a model was trained with is found on a few images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lightning_resnets.checkpoint.bundled import resolve_checkpoint
from lightning_resnets.checkpoint.card_overrides import CardOverrides
from lightning_resnets.checkpoint.load import LoadedCheckpoint, load_checkpoint
from lightning_resnets.errors import DataError
from lightning_resnets.evaluation import evaluate
from lightning_resnets.evaluation.try_preprocessing import (
    CURRENT,
    PreprocessingTrial,
    candidate_cards,
    format_trials,
    try_preprocessings,
    verdict,
)


@pytest.fixture(scope="module")
def trained() -> LoadedCheckpoint:
    """Return a model that was trained with CIFAR-10's mean and standard deviation."""
    return load_checkpoint(resolve_checkpoint("resnet20-cifar10"))


@pytest.mark.parametrize(
    "wrong",
    [CardOverrides(mean=0, std=1), CardOverrides(mean=0, std=1 / 255)],
    ids=["0 to 1", "0 to 255"],
)
def test_normalization_of_the_training_is_found(
    trained: LoadedCheckpoint, wrong: CardOverrides
) -> None:
    misread = replace(trained, card=wrong.apply(trained.card))
    calls = list[tuple[int, int]]()
    trials = try_preprocessings(
        misread, "sample", Path(), 200, progress=lambda *call: calls.append(call)
    )
    best = trials[0]
    assert best.card.mean == pytest.approx(trained.card.mean)
    assert best.card.channel_order == "RGB"
    current = next(trial for trial in trials if trial.name == CURRENT)
    assert best.is_clearly_better(current)
    assert best.top1 > 0.8
    assert current.top1 < best.top1 - 0.1
    assert best.options in verdict(trials)
    assert calls[-1] == (len(trials), len(trials))
    assert [trial.top1 for trial in trials] == sorted(
        (trial.top1 for trial in trials), reverse=True
    )


def test_accuracies_are_those_of_evaluate(trained: LoadedCheckpoint) -> None:
    trials = try_preprocessings(trained, "sample", Path(), 100)
    for trial in trials[::3]:
        result = evaluate(replace(trained, card=trial.card), "sample", Path(), num_images=100)
        assert trial.top1 == pytest.approx(result.top1)


def test_options_select_the_normalization_again(trained: LoadedCheckpoint) -> None:
    from lightning_resnets.cli.args import CommandParser
    from lightning_resnets.cli.card_options import add_card_options, read_overrides

    parser = CommandParser("evaluate", "")
    add_card_options(parser)
    for name, card in candidate_cards(trained.card).items():
        trial = PreprocessingTrial(name, card, torch.ones(1, dtype=torch.bool))
        chosen = read_overrides(parser.parse_args(trial.options.split())).apply(trained.card)
        assert chosen.mean == pytest.approx(card.mean, rel=1e-3)
        assert chosen.std == pytest.approx(card.std, rel=1e-3)
        assert chosen.channel_order == card.channel_order


def test_candidates_are_different_and_fit_gray_images(trained: LoadedCheckpoint) -> None:
    cards = candidate_cards(trained.card)
    assert next(iter(cards)) == CURRENT
    # CIFAR-10's own is the one in use.
    assert "CIFAR-10's" not in cards
    gray = replace(trained.card, input_size=(1, 28, 28), mean=(0.1307,), std=(0.3081,))
    for card in candidate_cards(gray).values():
        assert len(card.mean) == len(card.std) == 1


def make_trial(name: str, hits: list[int], trained: LoadedCheckpoint) -> PreprocessingTrial:
    return PreprocessingTrial(name, trained.card, torch.tensor(hits, dtype=torch.bool))


def test_verdict_says_whether_the_difference_is_clear(trained: LoadedCheckpoint) -> None:
    current = make_trial(CURRENT, [1] * 50 + [0] * 50, trained)
    # Nine images gained and one lost, or three gained and two lost.
    clear = make_trial("clear", [0] + [1] * 58 + [0] * 41, trained)
    close = make_trial("close", [0, 0] + [1] * 51 + [0] * 47, trained)
    assert clear.is_clearly_better(current)
    assert not close.is_clearly_better(current)
    assert not current.is_clearly_better(current)
    assert "Use --mean" in verdict((clear, current))
    assert "but not clearly better" in verdict((close, current))
    assert verdict((current, close)) == "Best on 100 images: the normalization in use."
    table = format_trials((clear, current)).splitlines()
    assert table[0].startswith(" 58.00%  clear ")
    assert len(table) == 3


def test_feature_extractor_raises(trained: LoadedCheckpoint) -> None:
    headless = replace(trained, card=replace(trained.card, class_names=()))
    with pytest.raises(DataError, match="no classifier"):
        try_preprocessings(headless, "sample", Path())
    with pytest.raises(DataError, match="no classifier"):
        evaluate(headless, "sample", Path())
