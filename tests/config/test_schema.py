"""The JSON Schema is valid, current, says what load says, and every configuration that is shipped agrees with both."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from pipeline.config import from_dict, load, schema, unknown_keywords
from pipeline.config.json_schema import all_keys, expected
from pipeline.errors import ConfigError
from pipeline.frames import all_keywords
from pipeline.store import check_codec

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SHIPPED = sorted(CONFIGS.glob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(schema())
LEAST = {"source": {"paths": ["in"]}, "output": {"path": "out"}}


def test_it_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_file_beside_the_configurations_is_current() -> None:
    text = (CONFIGS / "dcm2zarr.schema.json").read_text("utf-8")
    assert json.loads(text) == schema(), "run: dcm2zarr schema > configs/dcm2zarr.schema.json"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configurations(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=./dcm2zarr.schema.json\n")
    VALIDATOR.validate(yaml.safe_load(text))
    load(path)


def test_the_usual_ones_are_shipped() -> None:
    assert {"example.yaml", "minimal.yaml", "address.yaml", "whole-slide.yaml", "ct-training-set.yaml"} <= {
        path.name for path in SHIPPED
    }


def test_every_key_has_a_description_and_a_default_or_is_required() -> None:
    for name, section in schema()["$defs"].items():
        for key, node in section["properties"].items():
            assert "description" in node or "$ref" in node, f"{name}.{key}"
            assert "default" in node or key in section["required"], f"{name}.{key}"


def test_editors_get_whole_sentences() -> None:
    text = json.dumps(schema())
    assert r"\n" not in text.replace(r"\\n", "")
    assert '"title": "dcm2zarr configuration"' in text


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"decode": {"raw": True}},
        {"decode": {"raw": "false"}},
        {"decode": {"raw": 1}},
        {"decode": {"options": {"a": 1}}},
        {"select": {"frames": "::2"}},
        {"select": {"frames": [0, -1]}},
        {"select": {"frames": 3}},
        {"select": {"frames": None}},
        {"select": {"where": {"Modality": ["CT", 5, 1.5]}}},
        {"select": {"where": {"Modality": True}}},
        {"select": {"where": {"Modality": []}}},
        {"output": {"path": "out", "shard": "64 MiB"}},
        {"output": {"path": "out", "shard": "64 Mib"}},
        {"output": {"path": "out", "shard": 0}},
        {"output": {"path": "out", "chunk": {"row": "auto", "column": 64}}},
        {"output": {"path": "out", "chunk": {"row": "all"}}},
        {"output": {"path": "out", "grouping": "study"}},
        {"output": {}},
        {"output": {"path": ""}},
        {"source": {"paths": []}},
        {"cluster": {"kind": "address"}},
        {"cluster": {"kind": "address", "address": "tcp://a:1"}},
        {"cluster": {"address": "tcp://a:1"}},
        {"cluster": {"workers": "two"}},
        {"limits": {"frame": "2 GiB", "task_memory": 1000}},
        {"limits": {"frames": "2 GiB"}},
        {"metadata": {"keywords": "PatientID"}},
        {"x": 1},
    ],
)
def test_schema_and_load_agree(values: dict) -> None:
    whole = {**LEAST, **values}
    try:
        from_dict(whole)
    except ConfigError:
        accepted = False
    else:
        accepted = True
    assert VALIDATOR.is_valid(whole) == accepted


def test_what_is_expected_in_words() -> None:
    assert expected(("output", "grouping")) == "one of series, instance"
    assert expected(("output", "chunk", "row")) == "a whole number above 0 or auto"
    assert expected(("decode", "raw")) == "true or false"
    assert expected(("decode",)) == "a section with the keys raw, plugin, options, salvage"
    assert expected(("cluster", "adapt")) == "a section with the keys minimum, maximum"
    assert "output.chunk.column" in all_keys()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_configurations_name_real_keywords_and_codecs(path: Path) -> None:
    config = load(path)
    unknown_keywords(config, all_keywords())
    check_codec(config.output.codec)
