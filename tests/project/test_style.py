"""The style that a reader can rely on: short functions, plain statements, comments, standard words.

`pytest -s tests/project/test_style.py` prints the figures.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*ROOT.glob("lightning_resnets/**/*.py"), *ROOT.glob("gui/**/*.py")])
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *ROOT.glob("docs/*.md"),
    ROOT / "benchmarks/README.md",
    ROOT / "checkpoints/README.md",
]
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
OPENINGS_RE = re.compile(r"\s*(What|Whether|Which|How|Where|Who)\b")
OLD_WORDS_RE = re.compile(r"\b(pictures?|nets?)\b", re.IGNORECASE)


def nodes(kind: type | tuple[type, ...]) -> Iterator[tuple[Path, ast.AST]]:
    """Yield every syntax node of a kind with its file."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, kind):
                yield path, node


def line_count() -> int:
    return sum(len(path.read_text().splitlines()) for path in SOURCES)


def comment_lines() -> int:
    count = 0
    for path in SOURCES:
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        count += len({token.start[0] for token in tokens if token.type == tokenize.COMMENT})
    return count


def is_tuple_assignment(node: ast.AST) -> bool:
    """Return True for `a, b = x, y`, which reads as two thoughts in one line."""
    if not isinstance(node, ast.Assign):
        return False
    return isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)


def test_functions_are_short() -> None:
    lengths = [node.end_lineno - node.lineno + 1 for _, node in nodes(FUNCTION)]  # type: ignore[attr-defined]
    share = sum(length <= 25 for length in lengths) / len(lengths)
    print(f"{len(lengths):,} functions, {share:.1%} at most 25 lines")
    assert share >= 0.95


def test_conditional_expressions_and_tuple_assignments_are_rare() -> None:
    thousands = line_count() / 1000
    conditional = len(list(nodes(ast.IfExp))) / thousands
    tuples = sum(is_tuple_assignment(node) for _, node in nodes(ast.Assign)) / thousands
    print(
        f"per 1,000 lines: {conditional:.1f} conditional expressions, {tuples:.1f} tuple assignments"
    )
    assert conditional <= 12
    assert tuples <= 5


def test_no_conditional_expression_is_nested() -> None:
    nested = []
    for path, node in nodes(ast.IfExp):
        parts = (node.body, node.orelse, node.test)  # type: ignore[attr-defined]
        if any(isinstance(part, ast.IfExp) for part in parts):
            nested.append(f"{path.name}:{node.lineno}")  # type: ignore[attr-defined]
    assert not nested


def test_comments_say_why() -> None:
    share = comment_lines() / line_count()
    print(f"{share:.1%} of {line_count():,} lines have a comment")
    assert share >= 0.04


def test_no_docstring_begins_with_a_question_word() -> None:
    found = []
    for path, node in nodes((*FUNCTION, ast.ClassDef, ast.Module)):
        text = ast.get_docstring(node) or ""  # type: ignore[arg-type]
        if OPENINGS_RE.match(text):
            found.append(f"{path.name}: {text.splitlines()[0]}")
    assert not found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_use_standard_words(path: Path) -> None:
    assert not OLD_WORDS_RE.findall(path.read_text())


def test_code_uses_standard_words() -> None:
    found = []
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            # "net" in quotes is a key of other people's files.
            if OLD_WORDS_RE.search(re.sub(r"""(["'])net\.?\1""", "", line)):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found


def test_no_formatting_is_switched_off() -> None:
    assert not [path.name for path in SOURCES if "# fmt:" in path.read_text()]


def test_files_hold_one_concept() -> None:
    long = [path.name for path in SOURCES if len(path.read_text().splitlines()) > 300]
    assert not long
