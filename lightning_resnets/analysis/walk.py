"""Walking through a net step by step: in evaluation, from any step on, and without keeping what nobody needs again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from lightning_resnets.analysis.result import Pictures
from lightning_resnets.graph import Followed, Tracer
from lightning_resnets.probe import submodule

Env = dict[fx.Node, Any]
Change = Callable[[Env, Callable[[], Any]], Any]  # a step's value, of the values before it and of what it would give
Look = Callable[[str, tuple[Any, ...], Any], None]


@contextmanager
def evaluating(net: nn.Module) -> Iterator[nn.Module]:
    """The net in evaluation inside the `with` block, every module in its own mode again behind it."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield net
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def awake(net: nn.Module) -> Iterator[nn.Module]:
    """`evaluating`; where batch norms have never seen a batch they normalise by the one they get, and note nothing.

    A fresh net's running statistics are 0 and 1, which normalises nothing: its gradients would be those of another net.
    """
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    fresh = [n for n in norms if n.num_batches_tracked is not None and not int(n.num_batches_tracked)]
    if any(float((n.running_var - 1).abs().sum()) for n in fresh if n.running_var is not None):
        fresh = []  # weights came from a file that does not count
    with evaluating(net):
        try:
            for norm in fresh:
                norm.training, norm.track_running_stats = True, False
            yield net
        finally:
            for norm in fresh:
                norm.track_running_stats = True


def placed(pictures: Pictures, net: nn.Module, most: int | None = None) -> Pictures:
    """The first so many pictures, where the net's weights are and in their precision."""
    weight = next(net.parameters(), torch.zeros(()))
    images = pictures.images[:most].to(weight.device, weight.dtype)
    return Pictures(images, pictures.labels[:most].to(weight.device))


def size_of(pictures: Pictures) -> tuple[int, int, int]:
    channels, height, width = pictures.images.shape[1:]
    return channels, height, width


@contextmanager
def watching(net: nn.Module, points: Mapping[str, Look]) -> Iterator[None]:
    """Show what each module was given and gave, at once: nothing is kept, and no later step has written over it."""

    def hook(name: str, look: Look) -> Any:
        def see(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            look(name, (*args, *kwargs.values()), output)

        return see

    with ExitStack() as stack:
        for name, look in points.items():
            handle = submodule(net, name).register_forward_hook(hook(name, look), with_kwargs=True)
            stack.callback(handle.remove)
        yield


def within(node: fx.Node, block: str) -> bool:
    """Whether a step is one of a module's own."""
    path = str(node.target) if node.op in ("call_module", "get_attr") else Tracer.scope(node)
    return path == block or path.startswith(f"{block}.")


class Walker(fx.Interpreter):
    """The steps of a net, which may start anywhere, be changed, and take another block's weights.

    `kept` lists values that must outlive their last use, and until which step (None: for good).
    """

    def __init__(
        self, net: nn.Module, followed: Followed, kept: Mapping[fx.Node, fx.Node | None] | None = None
    ) -> None:
        super().__init__(net, garbage_collect_values=False, graph=followed.steps)
        self.nodes = list(followed.steps.nodes)
        self.place = {node: i for i, node in enumerate(self.nodes)}
        self.ran = 0  # steps in all, for tests
        self.moved: Mapping[str, str] = {}
        last: dict[fx.Node, int] = {}
        for i, node in enumerate(self.nodes):
            last |= dict.fromkeys(node.all_input_nodes, i)
        for node, until in (kept or {}).items():
            last[node] = max(last[node], self.place[until]) if until else len(self.nodes)
        self.dead: list[list[fx.Node]] = [[] for _ in range(len(self.nodes) + 1)]
        for node, i in last.items():
            self.dead[i].append(node)

    def walk(self, env: Env, start: int = 0, changes: Mapping[fx.Node, Change] | None = None) -> Iterator[fx.Node]:
        """Run the steps from `start` on in `env`; yields each step before it is run. The last one is the output."""
        for node in self.nodes[start:]:
            yield node
            self.env, change = env, (changes or {}).get(node)
            env[node] = change(env, lambda node=node: self.run_node(node)) if change else self.run_node(node)
            self.ran += 1
            for old in self.dead[self.place[node]]:
                env.pop(old, None)

    def rest(self, env: Env, start: fx.Node, changes: Mapping[fx.Node, Change], moved: Mapping[str, str]) -> Tensor:
        """The output where the steps from `start` on are changed; `env` stays as it was."""
        env, self.moved = dict(env), moved
        try:
            for _ in self.walk(env, self.place[start], changes):
                pass
        finally:
            self.moved = {}
        return env[self.nodes[-1]]

    def given(self, picture: Tensor) -> None:
        """The picture (N, C, H, W) of the next walk."""
        self.args_iter = iter([picture])

    def fetch_attr(self, target: str) -> Any:
        for block, other in self.moved.items():
            if target == block or target.startswith(f"{block}."):
                return super().fetch_attr(other + target.removeprefix(block))
        return super().fetch_attr(target)
