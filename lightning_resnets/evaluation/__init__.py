"""Measure the accuracy of checkpoints, and compare it with what their files say."""

from lightning_resnets.evaluation.accuracy import (
    EvaluationResult,
    count_correct,
    evaluate,
    label_rank,
)

__all__ = ["EvaluationResult", "count_correct", "evaluate", "label_rank"]
