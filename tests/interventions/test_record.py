"""Recordings have the activations of their hook points, and leave no hook behind."""

import gc
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_resnets.errors import HookPointError
from lightning_resnets.graph import trace
from lightning_resnets.graph.insert_merges import insert_merges
from lightning_resnets.interventions import ScaleInput, intervene
from lightning_resnets.interventions.record import record_activations
from lightning_resnets.merges import Add, Concat, Merge
from lightning_resnets.models.registry import create_model

IMAGE = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> Iterator[nn.Module]:
    torch.manual_seed(0)
    model = create_model("seresnet20").eval()
    yield model
    assert not hooks(model)


def hooks(model: nn.Module) -> list[str]:
    tables = [(name, table) for module in model.modules() for name, table in vars(module).items()]
    return [name for name, table in tables if name.endswith("_hooks") and table]


def test_outputs_match_a_hand_written_pass(model: nn.Module) -> None:
    block = model.get_submodule("layer1.0")
    with (
        torch.no_grad(),
        record_activations(
            model, ["layer1.0.bn2", "layer1.0.add", "layer1.0.se.gate"]
        ) as recording,
    ):
        model(IMAGE)
        x = model.relu(model.bn1(model.conv1(IMAGE)))  # type: ignore[operator]
        branch = block.bn2(block.conv2(block.relu1(block.bn1(block.conv1(x)))))  # type: ignore[operator]
    assert torch.equal(recording.outputs["layer1.0.bn2"], branch)
    shortcut, gated = recording.operands["layer1.0.add"]
    assert torch.equal(shortcut, x)
    assert torch.equal(recording.outputs["layer1.0.add"], shortcut + gated)
    scaled, weight = recording.operands["layer1.0.se.gate"]
    assert torch.equal(scaled, branch)
    assert weight.shape == (2, 16, 1, 1)
    assert torch.equal(gated, scaled * weight)


def test_only_hook_points_are_kept_and_only_merges_have_operands(model: nn.Module) -> None:
    with record_activations(model, ["layer1", "fc", "fc"]) as recording:
        logits = model(IMAGE)
    assert set(recording.outputs) == {"layer1", "fc"}
    assert recording.operands == {}
    assert recording.outputs["fc"] is logits


def test_recording_does_not_change_the_output(model: nn.Module) -> None:
    with record_activations(model, [name for name, _ in model.named_modules() if name]):
        answer = model(IMAGE)
    assert torch.equal(answer, model(IMAGE))


def test_gradients_reach_recorded_tensors(model: nn.Module) -> None:
    with record_activations(model, ["layer2.0.add"]) as recording:
        logits = model(IMAGE)
    gradient = torch.autograd.grad(logits[0, 3], recording.outputs["layer2.0.add"])[0]
    assert gradient.abs().sum() > 0


def test_the_last_pass_inside_the_block_is_kept(model: nn.Module) -> None:
    with torch.no_grad(), record_activations(model, ["fc"]) as recording:
        model(IMAGE)
        last = model(-IMAGE)
    model(IMAGE)
    assert torch.equal(recording.outputs["fc"], last)


def test_hooks_are_removed_after_errors_and_nesting(model: nn.Module) -> None:
    with pytest.raises(RuntimeError), record_activations(model, ["layer1", "fc"]):
        model(torch.zeros(1, 5, 8, 8))
    assert not hooks(model)
    with record_activations(model, ["fc"]) as outer:
        with record_activations(model, ["fc", "conv1"]) as inner:
            model(IMAGE)
        assert torch.equal(outer.outputs["fc"], inner.outputs["fc"])
        del outer.outputs["fc"]
        model(IMAGE)
        assert "fc" in outer.outputs


@pytest.mark.parametrize("point", ["layer1.0.ad", "", "output"])
def test_unknown_hook_points_raise(model: nn.Module, point: str) -> None:
    with (
        pytest.raises(HookPointError, match=f"no module called '{point}'"),
        record_activations(model, ["fc", point]),
    ):
        pass
    assert not hooks(model)


def test_similar_names_are_listed(model: nn.Module) -> None:
    with (
        pytest.raises(HookPointError, match=r"similar names are .*layer1\.0\.add"),
        record_activations(model, ["layer1.0.ad"]),
    ):
        pass


@pytest.mark.parametrize("first", ["intervene", "record"])
def test_operands_are_recorded_after_interventions(model: nn.Module, first: str) -> None:
    cut = intervene(model, ScaleInput("layer1.0.add", "shortcut", 0))
    record = record_activations(model, ["layer1.0.add"])
    if first == "intervene":
        with torch.no_grad(), cut, record as recording:
            model(IMAGE)
    else:
        with torch.no_grad(), record as recording, cut:
            model(IMAGE)
    shortcut, branch = recording.operands["layer1.0.add"]
    assert not shortcut.any()
    assert torch.equal(recording.outputs["layer1.0.add"], branch)


def test_keyword_operands_are_in_order() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add, self.concat = Add(), Concat()

        def forward(self, x: Tensor) -> Tensor:
            return self.concat(self.add(branch=2 * x, shortcut=x), x)

    one = torch.ones(1, 1, 2, 2)
    model = Turned()
    with (
        record_activations(model, ["add", "concat"]) as recording,
        intervene(model, ScaleInput("add", "branch", 0.5)),
    ):
        model(one)
    assert [part.mean().item() for part in recording.operands["add"]] == [1, 1]
    assert [part.mean().item() for part in recording.operands["concat"]] == [2, 1]


def blocks_and_merges(model: nn.Module) -> list[str]:
    """Return the names of every block and every merge."""
    blocks = {block.block for block in trace(model).nodes if block.block}
    return [
        name
        for name, module in model.named_modules()
        if name in blocks or isinstance(module, Merge)
    ]


@pytest.mark.parametrize("name", ["seresnet20", "densenet_bc_40_12"])
def test_nothing_is_copied_on_our_models(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name).eval()
    points, own = blocks_and_merges(model), dict[str, tuple[int, ...]]()

    def note(point: str) -> None:
        def look(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            own[point] = tuple(tensor.data_ptr() for tensor in (output, *args))

        handles.append(model.get_submodule(point).register_forward_hook(look))

    handles: list[torch.utils.hooks.RemovableHandle] = []
    for point in points:
        note(point)
    with torch.no_grad(), record_activations(model, points) as recording:
        model(IMAGE)
    for handle in handles:
        handle.remove()
    assert recording.outputs.keys() == set(points)
    assert len(recording.operands) == sum(isinstance(module, Merge) for module in model.modules())
    for point in points:
        parts = recording.operands.get(point, ())
        assert own[point][0] == recording.outputs[point].data_ptr()
        assert not parts or own[point][1:] == tuple(part.data_ptr() for part in parts)


def count_tensors() -> int:
    """Count the tensors that are alive."""
    gc.collect()
    return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())


def test_memory_does_not_grow_with_the_images(model: nn.Module) -> None:
    points, images = blocks_and_merges(model), torch.randn(500, 3, 8, 8)
    before, counts = count_tensors(), set[int]()
    with torch.no_grad(), record_activations(model, points) as recording:
        for i in range(500):
            model(images[i : i + 1])
            if i in (0, 250, 499):
                counts.add(count_tensors() - before)
        first = weakref.ref(recording.outputs[points[0]])
        model(images[:1])
        assert first() is None
        last = [weakref.ref(tensor) for tensor in recording.outputs.values()]
    assert len(counts) == 1
    assert counts.pop() <= len(recording.outputs) + sum(map(len, recording.operands.values())) + 1
    assert all(one() is not None for one in last)
    del recording
    gc.collect()
    assert not any(one() is not None for one in last)
    assert count_tensors() == before


def test_memory_does_not_grow_with_gradients(model: nn.Module) -> None:
    counts = set[int]()
    with record_activations(model, blocks_and_merges(model)):
        for _ in range(3):
            model(IMAGE)
            counts.add(count_tensors())
    assert len(counts) == 1


class Overwriting(nn.Module):
    """Layers as in torchvision: sums, ReLUs and functions in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.relu = (
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
        )
        self.conv, self.add, self.nothing = nn.Conv2d(4, 4, 3, padding=1), Add(), nn.Identity()
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(x)))
        branch = self.nothing(self.conv(x))
        branch += x
        y = self.add(x, functional.relu_(branch))
        if not x.requires_grad:
            x.sub_(1)  # writes over the shortcut that has met, which autograd does not forgive
        return self.fc(functional.relu(y, inplace=True).mean((2, 3)))


def compute_by_hand(model: Overwriting) -> dict[str, Tensor]:
    """Compute all outputs and operands without in-place operations."""
    recording = {"stem": model.stem(IMAGE)}
    recording["norm"] = model.norm(recording["stem"])
    recording["relu"] = recording["shortcut"] = recording["norm"].relu()
    recording["conv"] = model.conv(recording["relu"])
    recording["branch"] = (recording["conv"] + recording["relu"]).relu()
    recording["add"] = recording["shortcut"] + recording["branch"]
    recording["fc"] = recording[""] = model.fc(recording["add"].relu().mean((2, 3)))
    return recording


PLAIN = ["stem", "norm", "relu", "conv", "add", "fc"]


@pytest.mark.parametrize("points", [PLAIN, ["relu"], ["add"], ["norm", "conv"]])
@pytest.mark.parametrize("kept", [False, True])
def test_overwritten_tensors_are_recorded_before(points: list[str], kept: bool) -> None:
    torch.manual_seed(0)
    model = Overwriting().eval()
    with torch.set_grad_enabled(kept):
        expected, answer = compute_by_hand(model), model(IMAGE)
        with record_activations(model, [*points, "nothing"]) as recording:
            assert torch.equal(model(IMAGE), answer)
    assert torch.equal(answer, expected[""])
    assert all(torch.equal(recording.outputs[point], expected[point]) for point in points)
    assert torch.equal(recording.outputs["nothing"], expected["conv"])
    if "add" in points:
        assert all(
            map(torch.equal, recording.operands["add"], (expected["shortcut"], expected["branch"]))
        )


def test_gradients_reach_overwritten_tensors() -> None:
    torch.manual_seed(0)
    model, chosen = Overwriting().eval(), PLAIN[:-1]
    with record_activations(model, chosen) as recording:
        answer = model(IMAGE)
    expected = compute_by_hand(model)
    wanted = torch.autograd.grad(expected["fc"][0, 3], [expected[point] for point in chosen])
    found = torch.autograd.grad(
        answer[0, 3], [recording.outputs[point] for point in chosen], retain_graph=True
    )
    for point, one, other in zip(chosen, found, wanted, strict=True):
        torch.testing.assert_close(one, other, msg=point)
    operands = torch.autograd.grad(answer[0, 3], recording.operands["add"])
    assert all(torch.equal(one, found[-1]) for one in operands)  # a sum gives its gradient to both


def test_recording_does_not_change_weight_gradients() -> None:
    torch.manual_seed(0)
    model = Overwriting()
    with record_activations(model, PLAIN):
        recording = torch.autograd.grad(model(IMAGE).square().sum(), list(model.parameters()))
    plain = torch.autograd.grad(model(IMAGE).square().sum(), list(model.parameters()))
    assert all(map(torch.equal, recording, plain))


def test_retain_grad_works_on_recorded_tensors() -> None:
    model = Overwriting().eval()
    with record_activations(model, "relu") as recording:
        answer = model(IMAGE)
    recording.outputs["relu"].retain_grad()
    answer[0, 3].backward()
    assert recording.outputs["relu"].grad is not None


class Aliased(nn.Module):
    """Writes to a view that a module returned and reads the original tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.same = nn.Conv2d(3, 4, 3), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        functional.relu_(self.same(x))
        return x.mean((2, 3))


@pytest.mark.parametrize("points", [["same"], ["conv", "same"]])
def test_recording_keeps_writes_through_views(points: list[str]) -> None:
    model = Aliased().eval()
    with record_activations(model, points) as recording:
        assert torch.equal(model(IMAGE), model.conv(IMAGE).relu().mean((2, 3)))
        assert torch.equal(recording.outputs["same"], model.conv(IMAGE))


@contextmanager
def moved(module: nn.Module, step: Tensor) -> Iterator[None]:
    """Add a step to a module's output; the gradient of a zero step is that of the output."""

    def move(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + step

    handle = module.register_forward_hook(move)
    yield
    handle.remove()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "googlenet", "mobilenet_v3_small", "timm:seresnet18"])
def test_third_party_models_are_recorded_with_gradients(name: str) -> None:
    import timm
    import torchvision

    torch.manual_seed(0)
    options = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    kind, _, own = name.rpartition(":")
    model = (
        timm.create_model(own) if kind else torchvision.models.get_model(own, **options)
    ).eval()
    image = torch.randn(2, 3, 64, 64)
    points = [
        point
        for point, module in model.named_modules()
        if point and not isinstance(module, nn.Dropout)
    ]
    with record_activations(model, points) as recording:
        answer = model(image)
    assert torch.equal(answer, model(image))
    with torch.no_grad(), record_activations(model, points) as plain:
        assert torch.equal(model(image), answer)
    assert all(
        torch.equal(recording.outputs[point], value) for point, value in plain.outputs.items()
    )
    convs = [
        point
        for point in recording.outputs
        if isinstance(model.get_submodule(point), (nn.Conv2d, nn.BatchNorm2d))
    ]
    found = torch.autograd.grad(
        answer[0, 3], [recording.outputs[point] for point in convs], retain_graph=True
    )
    steps = [torch.zeros_like(recording.outputs[point], requires_grad=True) for point in convs]
    with ExitStack() as stack:
        for point, step in zip(convs, steps, strict=True):
            stack.enter_context(moved(model.get_submodule(point), step))
        wanted = torch.autograd.grad(model(image)[0, 3], steps)
    for point, one, other in zip(convs, found, wanted, strict=True):
        torch.testing.assert_close(one, other, msg=point)


def test_blocks_with_inserted_merges_are_recorded_at_their_end(model: nn.Module) -> None:
    with_merges = insert_merges(model, (3, 32, 32))
    points = blocks_and_merges(model)
    with (
        torch.no_grad(),
        record_activations(model, points) as ours,
        record_activations(with_merges, points) as theirs,
    ):
        model(IMAGE)
        with_merges(IMAGE)
    assert theirs.outputs.keys() == ours.outputs.keys()
    assert all(torch.equal(theirs.outputs[point], ours.outputs[point]) for point in points)
    assert not hooks(with_merges)
    with (
        pytest.raises(HookPointError, match="Use one of its submodules"),
        record_activations(insert_merges(Flat(), (3, 4, 4)), ["flat"]),
    ):
        raise AssertionError("the block must not begin")


class Flat(nn.Module):
    """A block that does not end in a module."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = Half()

    def forward(self, x: Tensor) -> Tensor:
        return self.flat(x)


class Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.conv(x), 1)
