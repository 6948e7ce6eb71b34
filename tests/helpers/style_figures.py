"""Measure the style of the source: function lengths, dense statements, comments.

`python -m tests.helpers.style_figures` prints the figures; tests/project/test_style.py checks them.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*ROOT.glob("lightning_resnets/**/*.py"), *ROOT.glob("gui/**/*.py")])
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
MAX_FUNCTION_LINES = 25


@dataclass(frozen=True, slots=True)
class StyleFigures:
    """Figures over all source files; the densities are per 1,000 lines."""

    lines: int
    functions: int
    short_functions: float  # fraction of at most 25 lines
    conditional_expressions: float
    tuple_assignments: float
    comment_lines: float  # fraction of all lines

    def __str__(self) -> str:
        return (
            f"{self.lines:,} lines, {self.functions:,} functions, {self.short_functions:.1%} at "
            f"most {MAX_FUNCTION_LINES} lines; per 1,000 lines {self.conditional_expressions:.1f} "
            f"conditional expressions and {self.tuple_assignments:.1f} tuple assignments; "
            f"{self.comment_lines:.1%} of lines have a comment"
        )


def nodes(kind: type | tuple[type, ...]) -> Iterator[tuple[Path, ast.AST]]:
    """Yield every syntax node of a kind with its file."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kind):
                yield path, node


def count_comment_lines(path: Path) -> int:
    """Count the lines of a file that have a comment."""
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    return len({token.start[0] for token in tokens if token.type == tokenize.COMMENT})


def is_tuple_assignment(node: ast.AST) -> bool:
    """Return True for `a, b = x, y`, which puts two thoughts into one line."""
    if not isinstance(node, ast.Assign):
        return False
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def measure_style() -> StyleFigures:
    """Measure all source files of both packages."""
    lines = sum(len(path.read_text().splitlines()) for path in SOURCES)
    lengths = [node.end_lineno - node.lineno + 1 for _, node in nodes(FUNCTION)]  # type: ignore[attr-defined]
    short = sum(length <= MAX_FUNCTION_LINES for length in lengths)
    tuples = sum(is_tuple_assignment(node) for _, node in nodes(ast.Assign))
    return StyleFigures(
        lines=lines,
        functions=len(lengths),
        short_functions=short / len(lengths),
        conditional_expressions=1000 * len(list(nodes(ast.IfExp))) / lines,
        tuple_assignments=1000 * tuples / lines,
        comment_lines=sum(map(count_comment_lines, SOURCES)) / lines,
    )


if __name__ == "__main__":
    print(measure_style())
