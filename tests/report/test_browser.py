"""report.html in a real browser: nothing is fetched, nothing is complained about, and it fits narrow and wide screens."""

from __future__ import annotations

import fcntl
import json
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from pipeline.preview.thumbnails import thumbnail
from pipeline.report import Pace, Sample, SampleImage, render_html
from support.run_summaries import run_summary

REPOSITORY = Path(__file__).resolve().parents[2]
PROBE = """<script>
console.log("probe " + JSON.stringify({
  asked: performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !name.startsWith("data:")),
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  images: [...document.images].map(image => image.naturalWidth),
  curve: document.querySelector(".plot .area").getBoundingClientRect().height,
  sections: [...document.querySelectorAll("h2")].map(title => title.textContent),
}));
</script>"""


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path; one test process installs it, the others wait."""
    with (Path(tempfile.gettempdir()) / "dcm2zarr-chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [REPOSITORY / "scripts" / "services" / "chromium"], capture_output=True, text=True, check=False, timeout=300
        )
    if done.returncode:
        pytest.skip(done.stderr.strip())
    return done.stdout.strip()


@pytest.fixture
def page() -> str:
    import numpy as np  # noqa: PLC0415  only here

    jpeg = thumbnail(np.arange(400).reshape(20, 20), "MONOCHROME2", None)
    sheet = tuple(
        SampleImage(f"1.2.{'3' * 60}/4.{'5' * 60}/stack-{n}", "CT", (Sample(0, jpeg), Sample(1, jpeg)))
        for n in range(5)
    )
    long = tuple(run_summary().images[0] for _ in range(20))
    return render_html(
        run_summary(
            images=long,
            sheet=sheet,
            pace=Pace(1.0, (1, 2, 3, 4), (10**6, 3 * 10**6, 0, 5 * 10**6)),
            syntax_seconds={"1.2.840.10008.1.2.1": {"decode": 1.0, "write": 3.0}},
        )
    )


def browse(chromium: str, html: str, folder: Path, *options: str) -> list[str]:
    """Open a page; return the console's messages."""
    file = folder / "page.html"
    file.write_text(html, "utf-8")
    command = [
        *(chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"),
        *("--enable-logging=stderr", f"--screenshot={folder / 'page.png'}", "--no-first-run", *options),
        # the browser itself would ask for the time and for updates
        *("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"),
        file.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return re.findall(r"CONSOLE[:(].*?\] ?\"(.*)\", source", done.stderr)


def probed(html: str) -> str:
    """Add a script that tells what the browser made of the page; the page's own policy allows none."""
    return html.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'") + PROBE


def told(message: str) -> dict:
    return json.loads(message.removeprefix("probe ").replace('\\"', '"'))


@pytest.mark.parametrize("width", [1280, 500])
@pytest.mark.parametrize("scheme", ["0", "1"])  # dark, light
def test_it_asks_for_nothing_complains_about_nothing_and_fits(
    chromium: str, page: str, tmp_path: Path, width: int, scheme: str
) -> None:
    size, colours = f"--window-size={width},2000", f"--blink-settings=preferredColorScheme={scheme}"
    (message,) = browse(chromium, probed(page), tmp_path, size, colours)
    seen = told(message)
    assert seen["asked"] == []
    assert seen["overflow"] <= 0, "the page itself never scrolls sideways"
    assert len(seen["images"]) == 10
    assert all(seen["images"])
    assert seen["curve"] > 50
    assert "Sample frames" in seen["sections"]
    paper = Image.open(tmp_path / "page.png").convert("L").getpixel((2, 2))
    assert paper < 60 if scheme == "0" else paper > 200


def test_its_own_policy_lets_nothing_run_or_be_fetched(chromium: str, page: str, tmp_path: Path) -> None:
    foreign = '<img src="http://127.0.0.1:9/x.png"><script>console.log("ran")</script>'
    messages = browse(chromium, page.replace("</body>", f"{foreign}</body>"), tmp_path)
    assert len(messages) == 2
    assert all("violates the following Content Security Policy" in message for message in messages)


def test_a_page_that_fetches_and_fails_would_be_noticed(chromium: str, tmp_path: Path) -> None:
    tell = "console.log('asked ' + performance.getEntriesByType('resource').map(entry => entry.name))"
    foreign = f'<img src="http://127.0.0.1:65533/x.png" onerror="{tell}"><script>nonsense()</script>'
    messages = browse(chromium, foreign, tmp_path)
    assert any("nonsense is not defined" in message for message in messages)
    assert "asked http://127.0.0.1:65533/x.png" in messages
