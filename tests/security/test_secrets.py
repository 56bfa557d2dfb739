"""Passwords, tokens and signatures in places where they don't belong: refused, and never repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import from_dict
from pipeline.errors import ConfigError
from pipeline.storage import check_url
from pipeline.storage.urls import hidden
from support.converted_folders import invoke
from support.shared_results import configuration, some_files

SECRET = "hunter2"  # noqa: S105  looked for
LEAST = {"source": {"paths": ["in"]}, "output": {"path": "out"}}


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:hunter2@bucket/key",
        "S3://AKIA:hunter2@bucket/key",
        "https://user:hunter2@host/a.dcm",
        "https://hunter2@host/a.dcm",
        "https://user:hun@hunter2@host/a.dcm",
        "https://user:hunter2/more@host/a.dcm",
        "https://host/a.dcm#access_token=hunter2",
        "https://host/a.dcm#hunter2",
        "https://host/a.dcm?x=hunter2",
        "https://host/a.dcm?sig=hunter2",
        "dicomweb+https://user:hunter2@host/root",
        "dicomweb+https://host/root#hunter2",
        "dicomweb+https://host/root?token=hunter2",
        "dicomweb+https://host/root?api_key=hunter2",
        "s3://bucket/key?X-Amz-Signature=hunter2",
        "gs://user:hunter2@bucket/x",
        "az://container:hunter2/x",
        "ftp://user:hunter2@host/x",
    ],
)
@pytest.mark.parametrize("where", ["source", "output", "at", "certificate"])
def test_a_url_with_a_secret_is_refused_without_it(tmp_path: Path, url: str, where: str) -> None:
    some_files(tmp_path / "in", 1)
    sections: dict[str, dict[str, Any]] = {
        "source": {"source": {"paths": [str(tmp_path / "in"), url]}},
        "output": {"output": {"path": url}},
        "at": {"storage": {"at": {url: {"region": "x"}}}},
        "certificate": {
            "cluster": {
                "kind": "address",
                "address": "tls://h:1",
                "security": {"ca_file": url, "cert": "a", "key": "b"},
            }
        },
    }
    told = invoke("run", str(configuration(tmp_path / "in", tmp_path / "out", **sections[where])))
    assert told.exit_code == 2
    assert SECRET not in told.output
    assert not (tmp_path / "out/run.yaml").exists()


@pytest.mark.parametrize(
    "url",
    ["s3://bucket/a@b.dcm", "s3://bucket/a#1.dcm", "https://host:8443/a.dcm", "https://[::1]:80/a", "https://[::1]/a"],
)
def test_other_urls_are_no_secrets(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize("command", ["inspect", "verify", "status", "resume", "convert"])
def test_nor_does_a_command_repeat_it(tmp_path: Path, command: str) -> None:
    url = "s3://AKIA:hunter2@bucket/out"
    told = invoke(command, url, *([str(tmp_path / "out")] if command == "convert" else []))
    assert (told.exit_code, SECRET in told.output) == (2, False)


@pytest.mark.parametrize(
    "section",
    [
        {"storage": {"options": {"bearer": "hunter2"}}},
        {"storage": {"options": {"bearer_token": "hunter2"}}},
        {"storage": {"options": {"Authorization": "hunter2"}}},
        {"storage": {"options": {"unheard_of": "hunter2"}}},
        {"storage": {"options": {"proxy_url": "http://user:hunter2@proxy"}}},
        {"storage": {"at": {"s3://other": {"options": {"bearer": "hunter2"}}}}},
        {"storage": {"endpoint": "https://user:hunter2@host"}},
        {"storage": {"endpoint": "https://host#hunter2"}},
        {"storage": {"endpoint": "https://host?hunter2"}},
        {"cluster": {"kind": "address", "address": "tcp://user:hunter2@host:8786"}},
        {"cluster": {"kind": "address", "address": "tcp://host:8786#hunter2"}},
        {"cluster": {"kind": "custom", "class_name": "a.B", "options": {"api_token": "hunter2"}}},
        {"cluster": {"kind": "custom", "class_name": "a.B", "options": {"env": {"DICOMWEB_TOKEN": "hunter2"}}}},
        {"cluster": {"kind": "custom", "class_name": "a.B", "options": {"a": [{"password": "hunter2"}]}}},
        {"cluster": {"kind": "custom", "class_name": "a.B", "options": {"url": "https://u:hunter2@host"}}},
        {
            "cluster": {
                "kind": "slurm",
                "workers": 1,
                "options": {"job_script_prologue": ["git clone https://u:hunter2@host"]},
            }
        },
        {"decode": {"options": {"x": "https://u:hunter2@host"}}},
        {"cluster": {"workers": "https://u:hunter2@host"}},
        {"source": {"paths": {"https://u:hunter2@host/x": 1}}},
    ],
)
def test_a_setting_with_a_secret_is_refused_without_it(tmp_path: Path, section: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        from_dict(LEAST | section)
    assert SECRET not in str(refused.value)
    told = invoke("run", str(configuration(some_files(tmp_path / "in", 1), tmp_path / "out", **section)))
    assert (told.exit_code, SECRET in told.output) == (2, False)
    key, *rest = json.dumps(section).partition(":")[0].strip('{"').split(".")
    told = invoke(
        "run", str(configuration(tmp_path / "in", tmp_path / "out")), "--set", f"{key}={json.dumps(section[key])}"
    )
    assert (told.exit_code, SECRET in told.output, rest) == (2, False, [])


def test_known_options_of_stores_and_classes_are_taken() -> None:
    options = {"account_name": "a", "aws_region": "x", "AZURE_STORAGE_USE_EMULATOR": "true", "request_payer": True}
    assert from_dict(LEAST | {"storage": {"options": options}}).storage.options == options
    options = {"image_pull_secrets": ["name"], "queue": "q", "job_extra_directives": ["--x"], "tokenizer": 1}
    given = {"kind": "custom", "class_name": "a.B", "options": options}
    assert from_dict(LEAST | {"cluster": given}).cluster.options == options


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://u:p@host/x now", "at https://…@host/x now"),
        ("https://u:p@q@host/x", "https://…@host/x"),
        ("https://host/x#frag and more", "https://host/x#… and more"),
        ("s3://bucket/a#1", "s3://bucket/a#1"),
        ("?X-Amz-Signature=abc&b=1", "?X-Amz-Signature=…&b=1"),
        ("#access_token=abc", "#access_token=…"),
    ],
)
def test_what_messages_hide(text: str, shown: str) -> None:
    assert hidden(text) == shown


def test_a_set_that_is_none_is_not_repeated_with_its_secret(tmp_path: Path) -> None:
    config = configuration(tmp_path, tmp_path / "out")
    for given in ("https://u:hunter2@host", "x.y=https://u:hunter2@host", "storage.endpoint https://u:hunter2@host"):
        assert SECRET not in invoke("run", str(config), "--set", given).output
