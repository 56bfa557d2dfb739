"""Every mistake is answered with its line, its key, what was expected, what was seen, and the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import from_dict, load, unknown_keywords
from pipeline.errors import ConfigError

ONE_MISTAKE = [
    # text after a right source and output, answer
    ("decod: {raw: true}", "line 3: decod: unknown key; did you mean decode?"),
    ("workers: 2", "line 3: workers: unknown key; did you mean cluster.workers?"),
    (
        "decode:\n  raw: 'false'",
        "line 4: decode.raw: expected true or false, got the text 'false'; write true or false w",
    ),
    ("decode: {raw: no}", "decode.raw: expected true or false, got the text 'no'"),
    ("decode: {raw: 1}", "decode.raw: expected true or false, got 1"),
    ("decode: {plugin: 5}", "decode.plugin: expected text, got 5; to have it as text, put it in quotes"),
    ("decode: {options: [1]}", "decode.options: expected a mapping of names to values, got the list [1]"),
    (
        "cluster: {kind: thread}",
        "expected one of synchronous, threads, local, address, slurm, pbs, lsf, sge, htcondor, oar, custom, got the text 'thread'; did you mean",
    ),
    ("cluster: {workers: true}", "cluster.workers: expected a whole number above 0 or auto, got true"),
    ("cluster: {workers: 0}", "cluster.workers: expected a whole number above 0 or auto, got 0"),
    ("cluster: {workers: Auto}", "got the text 'Auto'; did you mean auto?"),
    (
        "cluster: {threads_per_worker: '2'}",
        "expected a whole number above 0, got the text '2'; write the number without",
    ),
    ("cluster: {threads_per_worker: 2.0}", "cluster.threads_per_worker: expected a whole number above 0, got 2.0"),
    ("cluster: {kind: address}", "cluster.address: kind address needs the scheduler's address"),
    ("cluster: {address: 'tcp://a:1'}", "cluster.address: only for kind address, but the kind is local"),
    ("limits: {frame: 2 GBs}", "limits.frame: expected a size"),
    (
        "limits: {frame: -1}",
        "limits.frame: expected a whole number above 0 or a size with a unit, such as 64 MiB, got -1",
    ),
    ("limits: {frame: true}", "limits.frame: expected a whole number above 0 or a size"),
    ("limits:", "fragments, inflated, decode_memory, got nothing; leave the key out"),
    ("metadata: [a]", "metadata: expected a section with the keys keywords, header, got the list ['a']"),
    (
        "metadata: {keywords: PatientID}",
        "expected a list of texts, got the text 'PatientID'; for a list of one, write [Pat",
    ),
    ("metadata: {keywords: [5]}", "metadata.keywords[0]: expected text, got 5"),
    ("metadata: {header: ful}", "metadata.header: expected one of full, none, got the text 'ful'; did you mean full?"),
    ("select: {where: {Modality: [CT, true]}}", "select.where.Modality[1]: expected text or a number, got true"),
    (
        "select: {where: {Modality: []}}",
        "select.where.Modality: expected text or a number, or a list of texts or numbers",
    ),
    ("select: {where: {Modality: {a: 1}}}", "got a mapping of 1 key(s)"),
    ("select: {frames: 1-2}", 'select.frames: expected a slice such as "::2" or "10:20", or a list of frame indices'),
    ("select: {frames: '::0'}", "a slice's step can't be 0"),
    ("select: {frames: 5}", "select.frames: expected text or a list of whole numbers, got 5"),
    ("select: {frames: [1, x]}", "select.frames[1]: expected a whole number, got the text 'x'"),
]


def answer(folder: Path, text: str) -> str:
    path = folder / "run.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "pydantic" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("text", "expected"), ONE_MISTAKE)
def test_a_mistake_is_answered(tmp_path: Path, text: str, expected: str) -> None:
    told = answer(tmp_path, f"source: {{paths: [in]}}\noutput: {{path: out}}\n{text}\n")
    assert expected in told
    assert told.startswith(f"{tmp_path}/run.yaml: line ")
    assert "\n" not in told, "one mistake, one line"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("output: {path: out}", "source: missing; expected a section with the keys paths"),
        ("source: {paths: [in]}", "output: missing; expected a section with the keys path, grouping"),
        ("source: {paths: [in]}\noutput: {pth: out}", "line 2: output.pth: unknown key; did you mean output.path?"),
        (
            "source: {paths: in}\noutput: {path: out}",
            "source.paths: expected a list of texts (at least one), got the text",
        ),
        (
            "source: {paths: []}\noutput: {path: out}",
            "source.paths: expected a list of texts (at least one), got the list",
        ),
        ("source: {paths: [a]}\noutput: {path: o, codec: {clevel: 1}}", "with the codec's name"),
        ("source: {paths: [a]}\noutput: {path: o, codec: zstd}", "output.codec: expected a mapping of names to values"),
        (
            "source: {paths: [a]}\noutput: {path: o, chunk: {row: x}}",
            "output.chunk.row: expected a whole number above 0 or",
        ),
        ("[a, b]", "expected a mapping with source and output, got the list"),
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("source: [", "is not valid YAML: line 1"),
        ("source: {paths: [a]}\nsource: {paths: [b]}\n", "line 2: source is given twice (first on line 1)"),
        ("output: {path: a, path: b}", "line 1: output.path is given twice"),
        ("output: !!python/object/apply:os.system [x]", "output"),
        ("output: !!python/name:os.system x", "write the value without a tag"),
        ("? [a]\n: b", "a key must be a word"),
        ("a: &a [*a]", "an alias inside its own anchor"),
        ("[" * 3000, "nested too deeply"),
    ],
)
def test_files_that_are_wrong_as_a_whole(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in answer(tmp_path, text)


def test_aliases_of_aliases_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "more than 100000 values" in answer(tmp_path, "\n".join(lines))


def test_all_mistakes_at_once_in_the_files_order(tmp_path: Path) -> None:
    told = answer(
        tmp_path,
        "source: {paths: 5}\noutput:\n  grouping: study\n  shard: big\nclster: {}\ndecode:\n  raw: 2\n",
    )
    lines = told.splitlines()
    assert lines[0] == f"{tmp_path}/run.yaml: 6 mistakes"
    assert [line.strip().split(": ")[:2] for line in lines[1:]] == [
        ["line 1", "source.paths"],
        ["line 2", "output.path"],
        ["line 3", "output.grouping"],
        ["line 4", "output.shard"],
        ["line 5", "clster"],
        ["line 7", "decode.raw"],
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: can't be read: No such file"):
        load(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"source: {paths: [caf\xe9]}")
    with pytest.raises(ConfigError, match="not a text file in UTF-8"):
        load(tmp_path / "latin.yaml")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_text("source: {paths: [/a]}\noutput: {path: /o}", "utf-8-sig")
    assert load(path).source.paths == ("/a",)


def test_unknown_keywords_are_answered_with_the_nearest() -> None:
    config = from_dict(
        {
            "source": {"paths": ["in"]},
            "output": {"path": "out"},
            "select": {"where": {"Modalty": "CT", "Modality": "MR"}},
            "metadata": {"keywords": ["PatientID", "slicethickness", "Xyzzy"]},
        }
    )
    known = ["Modality", "PatientID", "SliceThickness"]
    with pytest.raises(ConfigError) as caught:
        unknown_keywords(config, known)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "select.where.Modalty" in lines[1]
    assert lines[1].endswith("did you mean Modality?")
    assert "metadata.keywords[1]" in lines[2]
    assert lines[2].endswith("did you mean SliceThickness?")
    assert "'Xyzzy' is not a DICOM keyword" in lines[3]
    unknown_keywords(config, [*known, "Modalty", "slicethickness", "Xyzzy"])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
sections = st.sampled_from(["source", "select", "decode", "output", "metadata", "cluster", "limits", "x"])
keys = st.sampled_from(
    ["paths", "where", "frames", "raw", "path", "chunk", "shard", "codec", "workers", "kind", "frame", "y"]
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(sections, anything | st.dictionaries(keys, anything, max_size=4), max_size=5))
def test_whatever_is_given_only_a_configuration_error_comes_back(values: dict) -> None:
    told = ""
    try:
        from_dict(values)
    except ConfigError as error:
        told = str(error)
    assert "pydantic" not in told
    assert "Input should" not in told
