"""Digests of every file that conversions leave, to show that a change of the code changes no byte of a result.

    scripts/result_digests.py > before.txt      # at the commit before: `git worktree add ../before COMMIT`, PYTHONPATH=../before
    scripts/result_digests.py > after.txt
    diff before.txt after.txt && wc -l < after.txt

Converts FILES (default: pydicom's own test files and ../shared/data, or $DCM2ZARR_TEST_DATA) in this process, once for each
configuration below, into a temporary folder, and prints ``sha256  configuration/name``, sorted by name. The code that
converts is the package `pipeline` that Python finds: PYTHONPATH decides. Times, versions and random numbers are left out of
what is digested, as :func:`content` says file by file; everything else counts to the byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydicom.data import get_testdata_file

import pipeline

CONFIGURATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "instances": {"output": {"grouping": "instance", "shard": "1 MiB"}, "select": {"frames": "1::2"}},
    "small-shards": {
        "output": {"chunk": {"frame": 2, "row": 50, "column": 64}, "shard": "64 KiB", "codec": {"name": "none"}},
        "decode": {"salvage": True, "raw": True},
    },
    "chosen-frames": {
        "output": {"chunk": {"frame": 3}, "shard": "300 KiB", "codec": {"name": "zstd", "level": 1}},
        "select": {"frames": [0, 1, 3, 4, 8, 9, -1]},
    },
}
"""Name → sections of the configuration, beside the sources and the output."""

_TIMES = re.compile("^(.*seconds.*|started|finished|throughput.*)$")
_NOT_COMPARED = frozenset(["versions", "salt"])
"""Keys of JSON objects: versions of packages, and the random number."""
_EMBEDDED = re.compile(rb"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+")
_PATIENT = "patient"
"""The column that is hashed with the random number."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert in each configuration and print the digests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILES", help="DICOM files or folders")
    parser.add_argument("--only", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS), metavar="NAME")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # damaged files are among them
    sources = options.files or default_sources()
    print(f"{pipeline.__file__} converts {', '.join(map(str, sources))}", file=sys.stderr)
    for name in options.only:
        with tempfile.TemporaryDirectory(prefix="dcm2zarr-digests-") as folder:
            out = Path(folder) / "out"
            pipeline.convert(sources, out, cluster={"kind": "synchronous"}, **CONFIGURATIONS[name])
            for file in sorted(path for path in out.rglob("*") if path.is_file()):
                relative = file.relative_to(out).as_posix()
                print(hashlib.sha256(content(file, relative, out)).hexdigest(), f"{name}/{relative}", sep="  ")
    return 0


def default_sources() -> list[Path]:
    """Return pydicom's own test files and the folder of further real files, if there is one."""
    given = os.environ.get("DCM2ZARR_TEST_DATA")
    shared = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    own = Path(str(get_testdata_file("CT_small.dcm", download=False))).parent
    return [folder for folder in (own, shared) if folder.is_dir()]


def content(file: Path, name: str, out: Path) -> bytes:
    """Return the digested content of a file of the result.

    All its bytes, except for

    - the ledger, ``report.json`` and ``plan.json``: the parsed JSON without times, versions and the random number that
      patients are hashed with; of the ledger, without the digests of files, which are compared themselves;
    - ``plan/*/instances.parquet`` and ``plan/segments``: schema and rows without the column `patient`, hashed with it;
    - ``report.html``: the pictures in it, because the page shows times;
    - ``run.yaml``: without its first line, which names versions, and with ``OUT`` in place of the temporary folder.
    """
    data = file.read_bytes()
    if name.startswith("ledger/"):
        return b"\n".join(_text(record) for record in _records(data))
    if name.endswith(".json") and not name.startswith("images.zarr/"):
        return _text(_lasting(json.loads(data)))
    if re.match("plan/([0-9]+/instances|segments/[0-9]+)[.]parquet", name):
        return _rows(file)
    if name == "report.html":
        return b"\n".join(_EMBEDDED.findall(data))
    if name == "run.yaml":
        return data.partition(b"\n")[2].replace(str(out).encode(), b"OUT")
    return data


def _records(ledger: bytes) -> Iterator[Any]:
    """Yield the ledger's records; of the seal, only the names of files."""
    for line in ledger.splitlines():
        record = _lasting(json.loads(line)["record"])
        if isinstance(record.get("files"), dict):
            record["files"] = sorted(record["files"])
        yield record


def _lasting(value: Any) -> Any:
    """Leave out values that differ between two runs of the same code."""
    if isinstance(value, dict):
        keys = [key for key in value if not _TIMES.match(key) and key not in _NOT_COMPARED]
        return {key: _lasting(value[key]) for key in keys}
    return [_lasting(part) for part in value] if isinstance(value, list) else value


def _text(value: Any) -> bytes:
    """Keep the order of keys: it is one of the bytes."""
    return json.dumps(value).encode()


def _rows(file: Path) -> bytes:
    table = pq.read_table(file)
    table = table.drop_columns([_PATIENT]) if _PATIENT in table.column_names else table
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return sink.getvalue().to_pybytes()


if __name__ == "__main__":
    sys.exit(main())
