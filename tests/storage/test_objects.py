"""Objects as files, against a real server."""

import io

import numpy as np
import pytest

from pipeline.errors import ConfigError, CredentialsError, SourceError
from pipeline.storage import Expected, Options, Reading, active, open_source, place, prefetching, storage_options, using
from pipeline.storage.objects import HEAD
from support.fault_proxy import FaultProxy


@pytest.fixture
def reached(s3):
    with using(Options.of(s3.options())):
        yield s3


def test_reads_equal_those_of_a_file_of_the_same_bytes(reached):
    data = np.random.default_rng(0).bytes(3_000_000)
    url = f"{reached.url()}/big"
    reached.put(url, data)
    chance = np.random.default_rng(1)
    with open_source(url) as file, io.BytesIO(data) as same:
        for _ in range(200):
            offset, length = int(chance.integers(3_100_000)), int(10 ** chance.uniform(0, 5.5))
            file.seek(offset)
            same.seek(offset)
            assert _read(file, length) == same.read(length)
        assert file.seek(0, io.SEEK_END) == len(data)
        assert file.read(10) == b""


def _read(file, length):
    pieces = []
    while length and (piece := file.read(length)):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def test_announced_ranges_are_fetched_ahead_and_joined(s3):
    data = np.random.default_rng(0).bytes(4_000_000)
    url = f"{s3.url()}/big"
    s3.put(url, data)
    ranges = [(offset, offset + 10_000) for offset in range(0, 2_000_000, 20_000)]
    with FaultProxy(s3.port) as proxy, using(Options.of(s3.options(proxy.port))), open_source(url) as file:
        file.expect(ranges)
        for start, stop in ranges:
            file.seek(start)
            assert _read(file, stop - start) == data[start:stop]
        assert len(proxy.requests) <= 4
        assert proxy.sent < 2_100_000


def test_an_object_that_changes_under_its_reader_is_refused(reached):
    url = f"{reached.url()}/object"
    reached.put(url, b"a" * 2_000_000)
    with open_source(url) as file:
        assert file.read(10) == b"a" * 10
        reached.put(url, b"b" * 2_000_000)
        file.seek(1_500_000)
        with pytest.raises(SourceError, match="changed since") as raised:
            file.read(10)
    assert raised.value.reason == "source_changed"
    with open_source(url, Expected(2_000_000, 0, "0" * 32)) as file, pytest.raises(SourceError, match="changed since"):
        file.read(10)


def test_what_is_foreseen_comes_from_the_requests_made_ahead(s3):
    prefix = s3.url()
    for number in range(20):
        s3.put(f"{prefix}/{number:02}", bytes([number]) * 50_000)
    readings = [Reading(f"{prefix}/{n:02}", Expected(50_000, 0), ((100, 40_000),)) for n in range(20)]
    with FaultProxy(s3.port, rate=1.0, slow=0.1) as proxy, using(Options.of(s3.options(proxy.port))):
        proxy.rate = 0.0
        with prefetching(readings):
            for number, reading in enumerate(readings):
                if number in (3, 4):
                    continue  # left out, as after a failure
                with open_source(reading.source, reading.expected) as file:
                    file.seek(100)
                    assert _read(file, 39_900) == bytes([number]) * 39_900
        assert len(proxy.requests) == 20
        assert {request.range for request in proxy.requests} == {"bytes=100-39999"}


def test_missing_objects_buckets_and_rights_have_reasons(reached, monkeypatch):
    with open_source(f"{reached.url()}/nothing") as file, pytest.raises(SourceError, match="no such object") as raised:
        file.read(1)
    assert raised.value.reason == "file_not_found"
    url = f"{reached.url()}/object"
    reached.put(url, b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    apart = using(Options.of(reached.options() | {"timeout": 61.0}))
    with apart, open_source(url) as file, pytest.raises(CredentialsError, match="403 SignatureDoesNotMatch") as raised:
        file.read(1)
    assert raised.value.reason == "credentials_refused"
    assert "wrong" not in str(raised.value)


def test_an_empty_object_is_an_empty_file(reached):
    url = f"{reached.url()}/empty"
    reached.put(url, b"")
    with open_source(url) as file:
        assert file.read(10) == b""
    assert (place(url)).read_bytes() == b""


def test_faults_are_survived_and_no_byte_is_wrong(s3):
    data = np.random.default_rng(0).bytes(5_000_000)
    url = f"{s3.url()}/big"
    with FaultProxy(s3.port, rate=0.3, seed=7, slow=0.05) as proxy, using(Options.of(s3.options(proxy.port))):
        place(url).write_bytes(data)
        with open_source(url) as file:
            ranges = [(offset, offset + 5_000) for offset in range(0, 5_000_000, 100_000)]
            file.expect(ranges, gap=0)
            for start, stop in ranges:
                file.seek(start)
                assert _read(file, stop - start) == data[start:stop]
        names = [f"{number:03}" for number in range(30)]
        for name in names:
            (place(url + "-many") / name).write_bytes(name.encode())
        assert sorted(place(url + "-many").walk()) == names
        assert place(url + "-many").children() == names
        assert set(proxy.faults) == {"error", "reset_before", "reset_after", "cut", "slow"}
    assert s3.read(url + "-many") == {name: name.encode() for name in names}


def test_a_server_that_stays_away_is_an_error_that_says_so(s3):
    away = using(Options.of({"endpoint": "http://127.0.0.1:9", "allow_http": True, "retries": 1}))
    with away, open_source("s3://bucket/key") as file, pytest.raises(SourceError, match=r"tried 2 times"):
        file.read(1)
    with using(Options.of({"endpoint": f"http://127.0.0.1:{s3.port}"})), pytest.raises(ConfigError, match="allow_http"):
        place("s3://bucket/key").read_bytes()


def test_a_place_is_read_written_listed_and_removed(reached):
    root = place(reached.url())
    assert not root.exists()
    assert root.children() == []
    for name in ("a", "b/c", "b/d/e"):
        (root / name).write_bytes(name.encode())
    with (root / "file").replacing() as part:
        part.write(b"from a file")
    assert root.children() == ["a", "b", "file"]
    assert sorted(root.walk()) == ["a", "b/c", "b/d/e", "file"]
    assert (root / "file").read_bytes() == b"from a file"
    with (root / "file").open() as file:
        assert file.read(4) == b"from"
    (root / "b").remove()
    assert sorted(root.walk()) == ["a", "file"]
    (root / "never").remove()
    root.remove()
    assert list(root.walk()) == []


def test_options_of_their_own_below_a_url():
    options = Options.of({"endpoint": "https://one", "at": {"s3://other/": {"endpoint": "https://two"}}})
    assert options.for_url("s3://bucket/x").endpoint == "https://one"
    assert options.for_url("s3://other/x").endpoint == "https://two"
    assert options.for_url("s3://others/x").endpoint == "https://one"


def test_small_objects_cost_one_request(s3):
    url = f"{s3.url()}/small"
    s3.put(url, bytes(HEAD - 1))
    with FaultProxy(s3.port) as proxy, using(Options.of(s3.options(proxy.port))), open_source(url) as file:
        for offset in (0, 1000, HEAD - 100):
            file.seek(offset)
            file.read(99)
        file.seek(0, io.SEEK_END)
        assert len(proxy.requests) == 1
    assert active() == Options()


def test_an_address_that_the_environment_names_later_counts(s3, monkeypatch):
    url = s3.url()
    s3.put(url, b"there")
    with storage_options(allow_http=True, retries=0):
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
            place(url).read_bytes()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3.port}")
        assert place(url).read_bytes() == b"there"
