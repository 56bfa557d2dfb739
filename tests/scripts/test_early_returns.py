"""A test that returns early has asserted something until then: else it may pass for nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ASSERTED_BEFORE = {"test_promises", "test_the_order_of_the_files_changes_nothing"}
"""Tests whose plan is None only after `planned` has asserted what the refusal says."""
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def is_assertion(statement: ast.stmt) -> bool:
    text = ast.unparse(statement)
    return isinstance(statement, ast.Assert) or any(
        name in text for name in ("pytest.raises", "np.testing", "assert_", "pytest.fail", "pytest.skip")
    )


def silent_returns(node: ast.AST) -> Iterator[int]:
    """The lines of returns in blocks of a function that assert nothing before them."""
    blocks = [block for name in ("body", "orelse", "finalbody") if isinstance(block := getattr(node, name, 0), list)]
    for block in [*blocks, *(handler.body for handler in getattr(node, "handlers", ()))]:
        for number, statement in enumerate(block):
            if isinstance(statement, ast.Return) and not any(map(is_assertion, block[:number])):
                yield statement.lineno
            elif not isinstance(statement, SCOPES):
                yield from silent_returns(statement)


def found_in(text: str) -> dict[str, list[int]]:
    tests = [node for node in ast.walk(ast.parse(text)) if isinstance(node, SCOPES[:2])]
    lines = {test.name: list(silent_returns(test)) for test in tests if test.name.startswith("test_")}
    return {name: found for name, found in lines.items() if found and name not in ASSERTED_BEFORE}


def test_no_test_returns_without_having_asserted() -> None:
    found = {str(path): found_in(path.read_text("utf-8")) for path in TESTS.rglob("test_*.py")}
    assert len(found) > 100
    assert {path: tests for path, tests in found.items() if tests} == {}


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("if x:\n  return\n assert y", True),
        ("try:\n  y()\n except E:\n  return\n assert y", True),
        ("if x:\n  assert z\n  return\n assert y", False),
        ("def inner():\n  return 1\n assert inner()", False),
    ],
)
def test_what_is_looked_for(body: str, *, wrong: bool) -> None:
    assert bool(found_in(f"def test_it():\n {body}")) == wrong
