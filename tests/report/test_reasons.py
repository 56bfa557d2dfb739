"""Every reason code that the code can give is documented, with what to do about it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from pipeline.errors import EXIT_CODES
from pipeline.report.reason_advice import ADVICE
from pipeline.scan.scan_task import _PROBLEMS

REPOSITORY = Path(__file__).resolve().parents[2]
NEVER_IN_A_CATALOG = {
    "error": "the base class, never raised itself",
    "frame_out_of_range": "an index that a caller of iter_frames gave",
    "incomplete": "ends dcm2zarr finalize",
    **dict.fromkeys(EXIT_CODES, "ends the command"),
}
ROOMS_WITHOUT_ROWS = {"verify", "cli", "access", "config", "geometry"}
"""What they say never becomes the reason of a row: problems of results, mistakes in configurations, sentences about slices."""
CODE = re.compile(r"[a-z]+(_[a-z]+)*")


def codes_in(path: Path) -> set[str]:
    """Return what is given as a reason in a module: ``reason=…``, ``reason = …``, ``Failure(…)``, ``end(status, …)``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.keyword | ast.Assign) and is_reason(node):
            found |= texts(node.value)
        elif isinstance(node, ast.Call) and name_of(node.func) == "Failure" and node.args:
            found |= texts(node.args[0])
        elif isinstance(node, ast.Call) and name_of(node.func) in {"end", "RowOutcome"} and len(node.args) > 1:
            found |= texts(node.args[1])
    return found


def is_reason(node: ast.keyword | ast.Assign) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg == "reason"
    return any(isinstance(target, ast.Name) and target.id == "reason" for target in node.targets)


def texts(node: ast.AST) -> set[str]:
    """Return the texts that an expression can be, of conditions and defaults too."""
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    if isinstance(node, ast.BoolOp):
        return set().union(*map(texts, node.values))
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def used() -> set[str]:
    modules = (REPOSITORY / "pipeline").rglob("*.py")
    rooms = [path for path in modules if not ROOMS_WITHOUT_ROWS & set(path.parts)]
    found = set().union(*map(codes_in, rooms)) | set(_PROBLEMS)
    return {code for code in found if code not in NEVER_IN_A_CATALOG}


def test_the_search_finds_what_it_should() -> None:
    assert {"decode_failed", "frame_mismatch", "timeout", "duplicate", "not_selected", "worker_lost"} <= used()
    assert all(CODE.fullmatch(code) for code in used())


def test_every_reason_in_the_code_has_advice() -> None:
    assert used() <= set(ADVICE)


def test_the_page_of_reasons_lists_them_all_with_their_advice() -> None:
    page = (REPOSITORY / "docs" / "reasons.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == ADVICE
