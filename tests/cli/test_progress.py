"""Progress: the right numbers, on a terminal and as plain lines."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import get_type_hints

import pytest
from rich.console import Console

from pipeline.cli import tally
from pipeline.cli.screen import Screen
from pipeline.cli.tally import Tally
from pipeline.cli.terminal_progress import PlainProgress, TerminalProgress, show_progress
from pipeline.executors import NullProgress, Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(tally, "monotonic", lambda: now[0])
    monkeypatch.setattr("pipeline.cli.terminal_progress.monotonic", lambda: now[0])
    return now


def plain(seconds: float = 5.0) -> tuple[PlainProgress, io.StringIO]:
    stream = io.StringIO()
    return PlainProgress(Console(file=stream, width=200), seconds=seconds), stream


def test_a_whole_run_in_plain_lines(clock: list[float]) -> None:
    progress, stream = plain()
    progress.phase("scan", None)
    progress.advance(files=64)
    clock[0] += 6
    progress.advance(files=36, failures=2)
    clock[0] += 1
    progress.phase("plan", None)
    progress.phase("convert", 400)
    clock[0] += 10
    progress.advance(frames=100, bytes=100 * 2**20)
    progress.advance(images=1)
    clock[0] += 2
    progress.message("dashboard at http://127.0.0.1:8787 [bold]")
    progress.advance(frames=300, bytes=20 * 2**20, failures=1)
    progress.done()
    progress.close()
    assert stream.getvalue().splitlines() == [
        "scan: 100 files, 2 failed",
        "scan done in 7.0 s: 100 files, 2 failed",
        "plan done in 0.0 s",
        "convert: 100 of 400 frames, 10.0 MiB/s, 2 failed, 30.0 s left",
        "dashboard at http://127.0.0.1:8787 [bold]",
        "convert done in 12.0 s: 400 of 400 frames, 1 image, 10.0 MiB/s, 3 failed",
    ]


def test_a_total_can_be_corrected_without_starting_anew(clock: list[float]) -> None:
    progress, stream = plain()
    progress.phase("scan", None)
    progress.advance(files=10)
    progress.phase("scan", 20)
    clock[0] += 9
    progress.advance(files=5)
    assert stream.getvalue().splitlines() == ["scan: 15 of 20 files, 3.0 s left"]


def test_time_left_needs_a_total_and_a_start(clock: list[float]) -> None:
    counted = Tally(name="convert", total=10, started=clock[0])
    assert counted.left() is None
    clock[0] += 4
    assert replace(counted, frames=2).left() == 16
    assert replace(counted, frames=20).left() == 0
    assert replace(counted, frames=2, total=None).left() is None


def test_a_terminal_shows_bars_with_the_same_words() -> None:
    stream = io.StringIO()
    progress = TerminalProgress(Console(file=stream, force_terminal=True, width=140))
    progress.phase("scan", None)
    progress.advance(files=7)
    progress.phase("convert", 40)
    progress.advance(frames=10, bytes=2**20, failures=1)
    progress.message("a line [not markup]")
    progress._bars.refresh()
    progress.done()
    progress.close()
    told = stream.getvalue()
    for words in ("scan", "7 files", "10 of 40 frames", "1 failed", "✓", "left", "a line [not markup]"):
        assert words in told


def test_what_is_shown_fits_the_stream() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True)
    file = Console(file=io.StringIO())
    for screen, kind in (
        (Screen(file, file), PlainProgress),
        (Screen(terminal, terminal, quiet=True), NullProgress),
        (Screen(file, terminal), TerminalProgress),
    ):
        with show_progress(screen) as progress:
            assert isinstance(progress, kind)


def test_a_phase_that_an_error_ended_is_not_called_done() -> None:
    stream = io.StringIO()

    def scan() -> None:
        with show_progress(Screen(Console(), Console(file=stream))) as progress:
            progress.phase("scan", None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        scan()
    assert "done" not in stream.getvalue()


@pytest.mark.parametrize("kind", [PlainProgress, TerminalProgress, NullProgress])
@pytest.mark.parametrize("method", ["phase", "advance", "message", "close"])
def test_all_follow_the_protocol(kind: type, method: str) -> None:
    assert get_type_hints(getattr(kind, method)) == get_type_hints(getattr(Progress, method))
