"""Numbers that no file, clock or machine has: a mistake in the configuration, told in a line."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from pipeline.config import from_dict, load, schema
from pipeline.errors import ConfigError

LEAST: dict[str, Any] = {"source": {"paths": ["in"]}, "output": {"path": "out"}}
NUMBERS = [
    *("output.chunk.frame", "output.chunk.row", "output.shard", "limits.frame", "limits.task_memory"),
    *("limits.frame_seconds", "limits.header_seconds", "limits.decode_memory", "cluster.workers"),
    *("cluster.threads_per_worker", "cluster.memory", "storage.retries", "storage.timeout", "storage.requests"),
    *("storage.prefetch", "report.images", "select.frames", "cluster.task_work"),
]
TOO_LARGE = [
    "9" * 400,
    "9" * 5000,
    "1e400",
    "-" + "9" * 400,
    "0x" + "f" * 400,
    "1" + "0" * 30,
    f"'{'9' * 400} GiB'",
    f"[{'9' * 400}]",
]


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("number", TOO_LARGE)
def test_a_number_too_large_is_a_mistake(tmp_path, key: str, number: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(LEAST))
    with pytest.raises(ConfigError) as refused:
        load(path, [f"{key}={number}"])
    assert len(str(refused.value)) < 400
    section, *middle, last = key.split(".")
    nested = f"{section}: {{{''.join(f'{name}: {{' for name in middle)}{last}: {number}{'}' * len(middle)}}}\n"
    rest = {name: value for name, value in LEAST.items() if name != section}
    own = json.dumps(LEAST.get(section, {})).strip("{}")
    text = nested.replace("{", "{" + own + (", " if own else ""), 1)
    path.write_text(text + "".join(f"{name}: {json.dumps(value)}\n" for name, value in rest.items()))
    with pytest.raises(ConfigError) as refused:
        load(path)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("key", [key for key in NUMBERS if key != "select.frames"])  # those have a test below
@pytest.mark.parametrize("number", [10**400, -(10**400), 10**5000, 1e308, float("inf"), float("nan")], ids="abcdef")
def test_also_as_a_value_of_python(key: str, number: float) -> None:
    values: Any = json.loads(json.dumps(LEAST))
    holder = values
    *above, last = key.split(".")
    for name in above:
        holder = holder.setdefault(name, {})
    holder[last] = number
    with pytest.raises(ConfigError) as refused:
        from_dict(values)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("frames", [[10**400], [2**31], [-(2**40)], "::" + "9" * 400, "9" * 5000 + ":", ":" + "9" * 30])
def test_frames_that_no_file_has(frames: Any) -> None:
    with pytest.raises(ConfigError) as refused:
        from_dict(LEAST | {"select": {"frames": frames}})
    assert len(str(refused.value)) < 400


def test_identifiers_of_many_digits_are_kept_as_they_are(tmp_path) -> None:
    path = tmp_path / "c.yaml"
    longest = "0" + "7" * 63
    path.write_text(json.dumps(LEAST) + "\n")
    config = load(path, [f"select.where.PatientID={longest}", "select.where.InstanceNumber=5"])
    assert config.select.where == {"PatientID": longest, "InstanceNumber": 5}
    with pytest.raises(ConfigError, match="needs quotes"):
        load(path, [f"select.where.PatientID={'7' * 100}"])
    assert load(path, [f"select.where.PatientID='{'7' * 100}'"]).select.where == {"PatientID": "7" * 100}


def test_the_largest_numbers_that_can_be() -> None:
    values = {
        "limits": {"frame": 2**63 - 1, "frame_seconds": 10**9, "task_memory": "8191 PiB"},
        "cluster": {"workers": 2**31 - 1},
        "storage": {"retries": 2**31 - 1, "timeout": 86_400},
    }
    config = from_dict(LEAST | values)
    assert (config.limits.frame, config.limits.frame_seconds, config.cluster.workers) == (2**63 - 1, 10**9, 2**31 - 1)
    jsonschema.validate(LEAST | values, schema())
    for section, key, number in (
        ("limits", "frame", 2**63),
        ("limits", "frame_seconds", 10**9 + 1),
        ("cluster", "workers", 2**31),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(LEAST | {section: {key: number}}, schema())
