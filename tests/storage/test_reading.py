"""DICOM files in object stores and on web servers: found by listings, read by ranges."""

import numpy as np
import pytest
from pydicom.pixels import iter_pixels
from pydicom.uid import JPEGBaseline8Bit

import pipeline
from pipeline.errors import ConfigError, SourceError
from pipeline.frames import index_frames, read_header
from pipeline.scan import find_files
from pipeline.storage import Options, open_source, using
from support.dicom_bytes import (
    encapsulated_file,
    encapsulated_value,
    native_file,
    rle_frame,
    table_offsets,
)
from support.fault_proxy import FaultProxy
from support.sparse_files import MIB, encapsulated_gibibyte, native_gibibyte, planes
from support.web_server import webserver

GIB = 1 << 30


@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "image_dfl.dcm", "SC_rgb_rle_2frame.dcm"])
def test_frames_by_url_equal_those_by_path(s3, pydicom_folder, name):
    url = f"{s3.url()}/{name}"
    s3.put(url, (pydicom_folder / name).read_bytes())
    with pipeline.storage_options(**s3.options()):
        here = list(pipeline.iter_frames(pydicom_folder / name))
        there = list(pipeline.iter_frames(url))
        assert pipeline.build_index(url).to_bytes() == pipeline.build_index(pydicom_folder / name).to_bytes()
        if name == "CT_small.dcm":
            opened = pipeline.open_dicom(url)
            assert np.array_equal(opened.pixels.compute(), here)
            assert opened.attrs["source"] == url
    assert len(here) == len(there)
    assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))


@pytest.mark.parametrize("kind", ["native", "table", "no table"])
def test_one_frame_of_a_gibibyte_costs_less_than_two_mebibytes(tmp_path, kind):
    path = tmp_path / "big.dcm"
    if kind == "native":
        number, frame = native_gibibyte(path)
    else:
        number, frame = encapsulated_gibibyte(path, table=kind == "table")
    assert path.stat().st_size > GIB
    with webserver(tmp_path) as port, FaultProxy(port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/big.dcm"
        (found,) = pipeline.iter_frames(url, indices=[number])
        assert np.array_equal(found, frame)
        assert 0 < proxy.sent < 2 * MIB
        proxy.requests.clear()
        opened = pipeline.open_dicom(url)
        assert np.array_equal(opened.pixels[number].compute(), frame)
        assert 0 < proxy.sent < 2 * MIB


def test_a_long_run_of_frames_is_read_ahead_in_few_requests(s3):
    pixels = planes(200)
    url = f"{s3.url()}/stack.dcm"
    s3.put(url, native_file(pixels.tobytes(), rows=64, columns=64, frames=200, vr="OB"))
    with FaultProxy(s3.port) as proxy, pipeline.storage_options(**s3.options(proxy.port)):
        found = list(pipeline.iter_frames(url))
    assert np.array_equal(found, pixels)
    assert len(proxy.requests) < 8
    assert proxy.sent < pixels.nbytes + MIB // 2


def mixed_slide(count, large=()):
    """An instance of `count` fragments without an offset table, of 20 to 60 KiB each, but the large ones."""
    rng = np.random.default_rng(count)
    lengths = rng.integers(10_000, 30_000, count) * 2
    for number, length in large:
        lengths[number] = length
    fragments = [rng.bytes(length) for length in lengths]
    return encapsulated_file(encapsulated_value(fragments), JPEGBaseline8Bit, rows=64, columns=64, frames=count)


@pytest.mark.parametrize(
    "large", [(), ((30, 2 * MIB), (31, 3 * MIB), (70, 300_000), (99, MIB))], ids=["small", "mixed"]
)
def test_whoever_reads_all_walks_over_fragments_in_few_requests(s3, tmp_path, large):
    data = mixed_slide(120, large)
    (tmp_path / "slide.dcm").write_bytes(data)
    expected = pipeline.build_index(tmp_path / "slide.dcm").to_bytes()
    url = f"{s3.url()}/slide.dcm"
    s3.put(url, data)
    with FaultProxy(s3.port) as proxy, pipeline.storage_options(**s3.options(proxy.port)):
        assert pipeline.build_index(url).to_bytes() == expected
        hops, few_bytes = len(proxy.requests), proxy.sent
        proxy.requests.clear()
        with open_source(url) as file:
            file.read_through()
            header = read_header(file, source=url)
            assert index_frames(file, header).to_bytes() == expected
    assert hops > 100
    assert few_bytes < MIB, "who wants few frames reads few bytes"
    assert len(proxy.requests) < 50
    assert proxy.sent < len(data) + 20 * MIB


def test_many_small_fragments_without_a_table_are_read_in_blocks(s3):
    pixels = planes(3000, 16, 16)
    fragments = [rle_frame(plane) for plane in pixels]
    url = f"{s3.url()}/slide.dcm"
    s3.put(url, encapsulated_file(encapsulated_value(fragments), rows=16, columns=16, frames=3000))
    with FaultProxy(s3.port) as proxy, pipeline.storage_options(**s3.options(proxy.port)):
        index = pipeline.build_index(url)
    assert index.number_of_frames == 3000
    assert len(proxy.requests) < 30


def test_a_table_lets_the_walk_ask_for_many_item_headers_at_once(s3):
    fragments = [bytes([n % 256]) * 200_000 for n in range(100)]
    value = encapsulated_value(fragments, table_offsets(fragments, range(100)))
    url = f"{s3.url()}/slide.dcm"
    s3.put(url, encapsulated_file(value, rows=16, columns=16, frames=100))
    with FaultProxy(s3.port) as proxy, pipeline.storage_options(**s3.options(proxy.port)):
        index = pipeline.build_index(url)
    assert index.boundaries == "basic_offset_table"
    assert proxy.sent < 300_000


def test_web_servers_without_ranges_serve_small_files_only(tmp_path, pydicom_folder, monkeypatch):
    (tmp_path / "a b#.dcm").write_bytes((pydicom_folder / "CT_small.dcm").read_bytes())
    with webserver(tmp_path, ranges=False) as port:
        url = f"http://127.0.0.1:{port}/a%20b%23.dcm"
        (frame,) = pipeline.iter_frames(url)
        assert np.array_equal(frame, next(iter_pixels(tmp_path / "a b#.dcm")))
        monkeypatch.setattr("pipeline.storage.objects.WHOLE", 1000)
        with pytest.raises(SourceError, match="doesn't serve byte ranges") as raised:
            list(pipeline.iter_frames(url))
        assert raised.value.reason == "no_range_requests"
        with pytest.raises(SourceError, match="no such object"):
            list(pipeline.iter_frames(f"http://127.0.0.1:{port}/missing"))


def test_prefixes_patterns_lists_and_objects_are_found_by_listings(s3):
    root = s3.url()
    for name in ("a.dcm", "s1/b.dcm", "s1/c.txt", "s1/deep/d.dcm", "s2/x y#1%20.dcm", "s10/e.dcm"):
        s3.put(f"{root}/{name}", name.encode())
    s3.put(f"{root}/list.txt", f"# of files\ns1/b.dcm\n{root}/s2/\nmissing.dcm\n".encode())

    def found(*sources):
        return {file.source.removeprefix(f"{root}/"): file for file in find_files([*sources])}

    with FaultProxy(s3.port) as proxy, using(Options.of(s3.options(proxy.port))):
        everything = found(root)
        assert set(everything) == {
            *("a.dcm", "s1/b.dcm", "s1/c.txt", "s1/deep/d.dcm", "s2/x y#1%20.dcm", "s10/e.dcm", "list.txt")
        }
        assert len(proxy.requests) == 1
        assert all(
            file.size == len(name) and file.mtime_ns and file.etag
            for name, file in everything.items()
            if name != "list.txt"
        )
        assert set(found(f"{root}/s1")) == set(found(f"{root}/s1/")) == {"s1/b.dcm", "s1/c.txt", "s1/deep/d.dcm"}
        assert set(found(f"{root}/*.dcm")) == {"a.dcm"}
        assert set(found(f"{root}/s?/*.dcm")) == {"s1/b.dcm", "s2/x y#1%20.dcm"}
        assert set(found(f"{root}/**/[bd].dcm")) == {"s1/b.dcm", "s1/deep/d.dcm"}
        assert set(found(f"{root}/s1*")) == {"s1/b.dcm", "s1/c.txt", "s1/deep/d.dcm", "s10/e.dcm"}
        assert set(found(f"{root}/a.dcm", f"{root}/a.dcm")) == {"a.dcm"}
        assert set(found(f"{root}/list.txt")) == {"s1/b.dcm", "s2/x y#1%20.dcm", "missing.dcm"}
        assert {file.source for file in find_files([root], exclude=f"{root}/s1")} == {
            f"{root}/{name}" for name in everything if not name.startswith("s1/")
        }
        with pytest.raises(ConfigError, match="nothing matches"):
            find_files([f"{root}/*.none"])


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("s3://key:hushhush@bucket/x", "environment variables"),
        ("https://user:hushhush@server/x.dcm", "environment variables"),
        ("https://server/x.dcm?X-Amz-Signature=hushhush", "a signature in a URL is a secret"),
        ("https://server/x.dcm?sig=hushhush&se=1", "a signature in a URL is a secret"),
        ("ftp://server/x.dcm", "unknown scheme ftp"),
        ("s3:///x.dcm", "bucket is missing"),
        ("https://server/folder/", "can't be listed"),
    ],
)
def test_urls_that_cannot_be_used_are_refused_without_repeating_secrets(url, told):
    with pytest.raises(ConfigError, match=told) as raised:
        list(find_files([url]))
    assert "hushhush" not in str(raised.value)
