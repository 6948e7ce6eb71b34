"""The style that a reader can rely on: short functions, plain statements, comments, standard
words.
"""

import ast
import re
from pathlib import Path

import pytest

from tests.helpers.style_figures import FUNCTION, ROOT, SOURCES, StyleFigures, measure_style, nodes

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *ROOT.glob("docs/*.md"),
    ROOT / "benchmarks/README.md",
    ROOT / "checkpoints/README.md",
]
OPENINGS_RE = re.compile(r"\s*(What|Whether|Which|How|Where|Who)\b")
OLD_WORDS_RE = re.compile(r"\b(pictures?|nets?)\b", re.IGNORECASE)
# Keys of other people's files, and the title of a paper.
FOREIGN_RE = re.compile(r"""(["'])net\.?\1|Neural Nets""")


MIN_SHORT_FUNCTIONS = 0.95
MAX_CONDITIONAL_EXPRESSIONS = 12  # per 1,000 lines, as the next one
MAX_TUPLE_ASSIGNMENTS = 5
MIN_COMMENT_LINES = 0.04
MAX_FILE_LINES = 300


@pytest.fixture(scope="module")
def figures() -> StyleFigures:
    return measure_style()


def test_functions_are_short(figures: StyleFigures) -> None:
    assert figures.short_functions >= MIN_SHORT_FUNCTIONS, figures


def test_conditional_expressions_and_tuple_assignments_are_rare(figures: StyleFigures) -> None:
    assert figures.conditional_expressions <= MAX_CONDITIONAL_EXPRESSIONS, figures
    assert figures.tuple_assignments <= MAX_TUPLE_ASSIGNMENTS, figures


def test_comments_say_why(figures: StyleFigures) -> None:
    assert figures.comment_lines >= MIN_COMMENT_LINES, figures


def test_no_conditional_expression_is_nested() -> None:
    nested = []
    for path, node in nodes(ast.IfExp):
        parts = (node.body, node.orelse, node.test)  # type: ignore[attr-defined]
        if any(isinstance(part, ast.IfExp) for part in parts):
            nested.append(f"{path.name}:{node.lineno}")  # type: ignore[attr-defined]
    assert not nested


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
            if OLD_WORDS_RE.search(FOREIGN_RE.sub("", line)):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found


def test_no_formatting_is_switched_off() -> None:
    assert not [path.name for path in SOURCES if "# fmt:" in path.read_text()]


def test_files_hold_one_concept() -> None:
    long = [path.name for path in SOURCES if len(path.read_text().splitlines()) > MAX_FILE_LINES]
    assert not long
