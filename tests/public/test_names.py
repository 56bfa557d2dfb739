"""The public name: what it offers, what importing it costs, and what type checkers see of it."""

from __future__ import annotations

import ast
import fnmatch
import inspect
import pydoc
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import dcm2zarr
import pipeline
from pipeline.config import RunConfig, Sections
from pipeline.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[2]
FUNCTIONS = {
    "build_index": "pipeline.frames",
    "convert": "pipeline.runs",
    "inspect": "pipeline.inspection",
    "iter_frames": "pipeline.frames",
    "open": "pipeline.access",
    "open_dicom": "pipeline.access",
    "status": "pipeline.runs",
    "storage_options": "pipeline.storage",
    "verify": "pipeline.verify",
}
"""Public function → the room that does it."""
OF_ITS_OWN = {"plan"}
LIGHT = ("dcm2zarr", "pipeline")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))


def test_all_that_is_promised_is_there():
    promised = {*FUNCTIONS, *OF_ITS_OWN, "FrameIndex", "RunConfig", "PipelineError", "__version__", "codecs"}
    assert promised <= set(dcm2zarr.__all__)
    assert set(dcm2zarr.__all__) <= set(dir(dcm2zarr))
    for name in dcm2zarr.__all__:
        assert getattr(dcm2zarr, name) is not None
    own = {path.stem for path in (REPOSITORY / "dcm2zarr").glob("*.py")}
    assert own == {"__init__", "__main__", "codecs"}, "a flat package"
    with pytest.raises(AttributeError, match="convrt"):
        dcm2zarr.convrt  # noqa: B018


def test_types_are_those_of_the_rooms():
    assert dcm2zarr.RunConfig is RunConfig
    assert dcm2zarr.PipelineError is pipeline.PipelineError
    assert dcm2zarr.FrameIndex is pipeline.FrameIndex
    for name in dcm2zarr._HOME:
        assert inspect.isclass(getattr(dcm2zarr, name)), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_takes_what_the_room_s_takes(name: str):
    """By name, order, kind and default; annotations say the same in other words."""

    def taken(function: object) -> list[tuple[str, object, object]]:
        parameters = inspect.signature(function).parameters.values()
        return [(one.name, one.kind, one.default) for one in parameters]

    assert taken(getattr(dcm2zarr, name)) == taken(getattr(import_module(FUNCTIONS[name]), name))


@pytest.mark.parametrize("name", sorted({*FUNCTIONS, *OF_ITS_OWN}))
def test_help_tells_every_argument(name: str):
    function = getattr(dcm2zarr, name)
    told = pydoc.render_doc(function, renderer=pydoc.plaintext)
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^ +(\**\w+, )*\**{parameter}(,.*| :.*)?$", told, re.MULTILINE), parameter
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_importing_it_imports_nothing_else_and_takes_no_time():
    code = (
        "import sys; before = set(sys.modules); import time; begin = time.process_time(); import dcm2zarr; "
        "print(time.process_time() - begin, *{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    seconds = []
    for _ in range(5):
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        seconds.append(float(told[0]))
        assert {name for name in told[1:] if name not in sys.stdlib_module_names} == {"dcm2zarr"}
    assert sorted(seconds)[2] < 0.15


def test_the_version_stands_once():
    tree = ast.parse((REPOSITORY / "dcm2zarr" / "__init__.py").read_text("utf-8"))
    literals = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert literals == [dcm2zarr.__version__] == [version("dcm2zarr")]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "dcm2zarr.__version__"}


def test_sections_are_those_of_the_configuration():
    assert Sections.__annotations__.keys() == RunConfig.model_fields.keys() - {"layout"}  # which runs write
    assert not Sections.__required_keys__


SNIPPET = """
import dcm2zarr

dcm2zarr.convert("in", "out", cluster={"kind": "threads"}, output={"shard": "8 MiB"})
dcm2zarr.plan("in", "out", select={"where": {"Modality": "CT"}}).images[0].shape
index: dcm2zarr.FrameIndex = dcm2zarr.build_index("in")
summary: dcm2zarr.RunSummary = dcm2zarr.convert("in", "out")
found: dcm2zarr.FileInspection | dcm2zarr.FolderInspection | dcm2zarr.OutputInspection = dcm2zarr.inspect("in")
dcm2zarr.verify("out", config={"source": {"paths": ["in"]}, "output": {"path": "out"}}, cluster={"kind": "threads"})
dcm2zarr.codecs.register()
dcm2zarr.convert("in", "out", clutser={"kind": "threads"})  # wrong
dcm2zarr.plan("in", "out", cluster="threads")  # wrong
dcm2zarr.convrt("in", "out")  # wrong
dcm2zarr.status("out").phaes  # wrong
"""


def test_mypy_finds_wrong_names_and_no_others(tmp_path: Path):
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET, "utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        f"--cache-dir={REPOSITORY / '.mypy_cache'}",
    ]
    command += [f"--config-file={REPOSITORY / 'pyproject.toml'}", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    errors = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error: " in line}
    lines = SNIPPET.split("\n")
    assert errors == {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}, done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("function", [dcm2zarr.convert, dcm2zarr.plan])
@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"cluster": {"knid": "threads"}}, r"cluster\.knid: .*kind"),
        ({"clutser": {}}, "clutser: .*cluster"),
        ({"output": 5}, "output: "),
        ({"limits": {"frame": "much"}}, r"limits\.frame: "),
    ],
)
def test_mistakes_in_sections_are_told_by_name(function, sections, told, tmp_path: Path):
    with pytest.raises(ConfigError, match=told):
        function(tmp_path, tmp_path / "out", **sections)
    assert not (tmp_path / "out").exists()


def test_a_wheel_brings_all_of_both_packages():
    """What setuptools takes into a wheel by its two patterns, and what lies in the folders, are the same files."""
    settings = PROJECT["tool"]["setuptools"]
    for top in ("dcm2zarr", "pipeline"):
        files = [path for path in (REPOSITORY / top).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert REPOSITORY / top / "py.typed" in files
        for path in files:
            package = ".".join(path.parent.relative_to(REPOSITORY).parts)
            assert any(fnmatch.fnmatchcase(package, one) for one in settings["packages"]["find"]["include"]), package
            assert (path.parent / "__init__.py").exists(), f"{path}: not in a package"
            data = settings["package-data"][top]
            name = path.relative_to(REPOSITORY / top).as_posix()
            assert path.suffix == ".py" or any(fnmatch.fnmatchcase(name, one) for one in data), f"{name}: left out"


def test_the_command_goes_through_the_public_name():
    module, _, name = PROJECT["project"]["scripts"]["dcm2zarr"].partition(":")
    assert module == "dcm2zarr.__main__"
    assert callable(getattr(import_module(module), name))
