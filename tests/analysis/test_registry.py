"""Test every analysis on every kind of bundled model."""

import pytest
import torch

from lightning_resnets.analysis.registry import ANALYSES, run_analysis
from lightning_resnets.errors import AnalysisCancelled, AnalysisError
from tests.helpers.analysis_inputs import bundled_inputs, shrink_slow_analyses

NOT_ALLOWED = {
    ("resnet20", "gate_weights"),
    ("resnet20", "feature_reuse"),
    ("seresnet20", "feature_reuse"),
    ("densenet_bc_40_12", "gradient_flow"),
    ("densenet_bc_40_12", "gate_weights"),
    ("densenet_bc_40_12", "iterative_refinement"),
    ("plain20", "paths"),
    ("plain20", "gradient_flow"),
    ("plain20", "gate_weights"),
    ("plain20", "feature_reuse"),
}


@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize("model", ["resnet20", "seresnet20", "densenet_bc_40_12", "plain20"])
def test_analysis_has_tables_or_says_why_not(
    name: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shrink_slow_analyses(monkeypatch)
    inputs = bundled_inputs(model, 2)
    if (model, name) in NOT_ALLOWED:
        with pytest.raises(
            AnalysisError, match=r"(has no|has only|must have|reads more than) .*\.$"
        ):
            run_analysis(name, inputs)
    else:
        tables = run_analysis(name, inputs).tables()
        assert any(table.rows for table in tables.values())


def test_unknown_analysis_raises() -> None:
    with pytest.raises(AnalysisError, match="'lessions'"):
        run_analysis("lessions", bundled_inputs("resnet20", 2))


@pytest.mark.parametrize("name", sorted(set(ANALYSES) - {"gate_weights", "feature_reuse", "paths"}))
def test_cancelled_analysis_leaves_the_model_unchanged(name: str) -> None:
    inputs = bundled_inputs("resnet20", 8)
    before = {key: weight.clone() for key, weight in inputs.model.state_dict().items()}

    def cancel(done: int, total: int) -> None:
        if done:
            raise AnalysisCancelled

    with pytest.raises(AnalysisCancelled):
        run_analysis(name, inputs, cancel)
    for module in inputs.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    after = inputs.model.state_dict()
    assert all(torch.equal(weight, before[key]) for key, weight in after.items())
