"""Configuration files: what loads, what it means, and that it survives being written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import RunConfig, Select, dump, from_dict, load, parse_slice
from pipeline.errors import ConfigError

EXAMPLE = """\
source:
  paths: ["data/", "more/**/*.dcm"]
select:
  where: {Modality: [CT, MR]}      # any DICOM keyword: a value or a list
  frames: "::2"                    # a slice or a list of frame indices, in every instance
decode: {raw: false, plugin: "", options: {}}
output:
  path: out
  grouping: series                 # series | instance
  chunk: {frame: 1, row: auto, column: auto}
  shard: 64 MiB
  codec: {name: blosc, cname: zstd, clevel: 1, shuffle: bitshuffle}
metadata: {keywords: [PatientID, SliceThickness], header: full}   # full | none
cluster: {kind: local, workers: auto, threads_per_worker: 1}
limits: {frame: 2 GiB, task_memory: 1 GiB}
"""
LEAST = {"source": {"paths": ["in"]}, "output": {"path": "out"}}


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, "utf-8")
    return path


def least(text: str = "") -> str:
    return f"source: {{paths: [in]}}\noutput: {{path: out}}\n{text}"


def test_the_printed_example_means_what_it_says(tmp_path: Path) -> None:
    config = load(write(tmp_path, EXAMPLE))
    assert config.source.paths == (str(tmp_path / "data"), str(tmp_path / "more/**/*.dcm"))
    assert config.select.where == {"Modality": ("CT", "MR")}
    assert config.select.frames == "::2"
    assert config.output.path == str(tmp_path / "out")
    assert config.output.shard == 64 * 2**20
    assert config.output.codec == {"name": "blosc", "cname": "zstd", "clevel": 1, "shuffle": "bitshuffle"}
    assert config.metadata.keywords == ("PatientID", "SliceThickness")
    assert (config.limits.frame, config.limits.task_memory) == (2 * 2**30, 2**30)


def test_every_section_but_source_and_output_may_be_left_out(tmp_path: Path) -> None:
    config = load(write(tmp_path, least()))
    assert config.select == Select()
    assert (config.decode.raw, config.decode.plugin) == (False, "")
    assert (config.cluster.kind, config.cluster.workers) == ("local", "auto")


def test_relative_paths_count_from_the_file_and_overrides_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, elsewhere = write(tmp_path, least()), tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load(file).source.paths == (str(tmp_path / "in"),)
    config = load(file, ["source.paths=[a, ~/b, /c, 's3://bucket/d']"])
    assert config.source.paths == (str(elsewhere / "a"), "/home/somebody/b", "/c", "s3://bucket/d")
    assert config.output.path == str(tmp_path / "out")
    assert load(Path("../run.yaml")).output.path == str(elsewhere / ".." / "out")


def test_wildcards_of_the_configuration_folder_are_not_part_of_the_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "study[1]"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "a.dcm").touch()
    config = load(write(folder, "source: {paths: [in, 'in/*.dcm']}\noutput: {path: out}"))
    assert config.source.paths[0] == str(folder / "in")
    assert [str(p) for p in Path("/").glob(config.source.paths[1].lstrip("/"))] == [str(folder / "in" / "a.dcm")]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("2020-01-01", "2020-01-01"),
        ("12:30:00", "12:30:00"),
        ("1.2.840", "1.2.840"),
        ("1.10", "1.10"),
        ("007", "007"),
        ("1_000", "1_000"),
        ('"5"', "5"),
        ("5", 5),
        ("1.2", 1.2),
        ("-2.5", -2.5),
    ],
)
def test_values_to_select_mean_what_is_written(tmp_path: Path, written: str, meant: object) -> None:
    config = load(write(tmp_path, least(f"select: {{where: {{StudyID: {written}, AccessionNumber: [{written}]}}}}")))
    assert config.select.where == {"StudyID": meant, "AccessionNumber": (meant,)}
    assert type(config.select.where["StudyID"]) is type(meant)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64 MiB", 64 * 2**20),
        ("500 kB", 500_000),
        ("1.5GiB", 3 * 2**29),
        ("1e9", 10**9),
        ("4096", 4096),
        ("2G", 2 * 10**9),
    ],
)
def test_sizes(tmp_path: Path, text: str, size: int) -> None:
    assert load(write(tmp_path, least(f"limits: {{frame: {text}}}"))).limits.frame == size


@pytest.mark.parametrize(
    ("text", "meant"),
    [("::2", slice(None, None, 2)), ("10:20", slice(10, 20)), (" -5 : ", slice(-5, None)), ("5:1:-1", slice(5, 1, -1))],
)
def test_slices(text: str, meant: slice) -> None:
    assert parse_slice(text) == meant
    assert from_dict({**LEAST, "select": {"frames": text}}).select.frames == text


def test_overrides_win_and_are_yaml(tmp_path: Path) -> None:
    overrides = ["output.chunk.row=128", "decode.raw=true", "select.frames=::4", "select.where.PatientID=007"]
    config = load(write(tmp_path, EXAMPLE), [*overrides, "select.where.Modality=US", "cluster.workers=3"])
    assert config.output.chunk.row == 128
    assert config.decode.raw is True
    assert config.select.frames == "::4"
    assert config.select.where == {"Modality": "US", "PatientID": "007"}
    assert config.cluster.workers == 3


def test_one_setting_of_the_codec_changes_the_default_one(tmp_path: Path) -> None:
    config = load(write(tmp_path, least()), ["output.codec.clevel=5"])
    assert config.output.codec == {"name": "blosc", "cname": "zstd", "clevel": 5, "shuffle": "auto"}
    assert load(write(tmp_path, least())).output.codec["clevel"] == 1, "the default itself was changed"


def test_another_codec_does_not_inherit_settings(tmp_path: Path) -> None:
    config = load(write(tmp_path, EXAMPLE), ["output.codec.name=zstd", "output.codec.level=3"])
    assert config.output.codec == {"name": "zstd", "level": 3}
    assert load(write(tmp_path, EXAMPLE), ["output.codec.name=blosc"]).output.codec["clevel"] == 1


def test_from_dict_leaves_its_argument_alone() -> None:
    values = {"source": {"paths": ["in"]}, "output": {"path": "out"}}
    from_dict(values, overrides=["output.shard=1 MiB", "source.paths=[other]"])
    assert values == LEAST


@pytest.mark.parametrize("text", ["x", "=3", "output.=3", "output"])
def test_overrides_need_a_key_and_a_value(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected section\.key=value"):
        from_dict(LEAST, overrides=[text])


@pytest.mark.parametrize(
    ("override", "answer"),
    [
        ("outptu.path=x", "outptu.path: unknown key; did you mean output.path"),
        ("output.codex.clevel=5", "did you mean output.codec"),
        ("workers=3", "workers: unknown key; did you mean cluster.workers?"),
        ("output.path.x=1", "output.path.x: unknown key"),
        ("cluster.workers=two", "--set: cluster.workers: expected a whole number above 0 or auto, got the text 'two'"),
        ("source.paths=*.dcm", "needs quotes of its own"),
    ],
)
def test_mistaken_overrides(override: str, answer: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(LEAST, overrides=[override])
    assert answer in str(caught.value)


def test_an_override_below_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="because output is the text 'out'"):
        load(write(tmp_path, "source: {paths: [a]}\noutput: out"), ["output.shard=1 MiB"])


texts = st.one_of(
    st.text(min_size=1, max_size=12),
    st.sampled_from(
        ["no", "on", "~", "null", "1e9", "0x1F", "010", "1_0", "2020-01-01", "12:30:00", ".inf", "<<", "="]
    ),
)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
scalars = texts | numbers


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.dictionaries(texts, scalars | st.lists(scalars, min_size=1, max_size=3), max_size=3),
    frames=st.none() | st.just("1:-1:3") | st.lists(st.integers(-9, 9), max_size=3),
    keywords=st.lists(texts, max_size=3),
    shard=st.integers(1, 2**50),
    options=st.dictionaries(texts, scalars | st.booleans() | st.just(float("-inf")), max_size=2),
)
def test_what_is_dumped_loads_back_equal(  # noqa: PLR0917
    tmp_path: Path, where: dict, frames: object, keywords: list, shard: int, options: dict
) -> None:
    config = from_dict(
        {
            "source": {"paths": ["/data/a", "/data/no"]},
            "select": {"where": where, "frames": frames},
            "decode": {"options": options},
            "output": {"path": "/out", "shard": shard},
            "metadata": {"keywords": keywords},
        }
    )
    file = write(tmp_path, dump(config, versions={"dcm2zarr": "1", "zarr": "3"}))
    loaded = load(file)
    assert loaded == config
    assert {key: type(value) for key, value in loaded.select.where.items()} == {
        key: type(value) for key, value in config.select.where.items()
    }


def test_dumps_are_readable(tmp_path: Path) -> None:
    text = dump(load(write(tmp_path, EXAMPLE)), versions={"dcm2zarr": "0.1.0"})
    assert text.startswith("# The configuration of this run as resolved. dcm2zarr 0.1.0\n")
    assert "shard: 64 MiB" in text
    assert "task_memory: 1 GiB" in text


def test_a_configuration_is_frozen() -> None:
    config = from_dict(LEAST)
    assert isinstance(config, RunConfig)
    with pytest.raises(ValueError, match="frozen"):
        config.output.path = "elsewhere"


def test_paths_that_are_not_utf_8_survive_the_dump(tmp_path: Path) -> None:
    config = from_dict({"source": {"paths": ["/in/\udcff", "/in/fü\u2028r"]}, "output": {"path": "/out"}})
    assert load(write(tmp_path, dump(config))) == config
