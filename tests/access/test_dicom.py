"""Untouched DICOM files: lazy, frame by frame, equal to pydicom's frames, the same images as a conversion's."""

from __future__ import annotations

import io
import os
import pickle
from dataclasses import replace
from pathlib import Path

import dask
import numpy as np
import pytest
from dask.distributed import Client, LocalCluster
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import iter_pixels
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless

import pipeline
from pipeline import frames
from pipeline.access import blocks
from pipeline.access.blocks import Decoding, FrameSource, frames_of_file
from pipeline.access.image_datasets import decoded_photometric
from pipeline.errors import (
    ConfigError,
    DecodeError,
    NoPixelDataError,
    NotDicomError,
    PixelDataError,
    SourceError,
)
from pipeline.frames import open_source
from pipeline.model import PixelFormat

ROWS, COLUMNS = 12, 10


def write_ct(path, pixels, *, number=1, z=0.0, series="1.2.3.4", uid=None, **attributes):
    """Write `pixels` (frame, row, column) of uint16 as a file made here, so that what is in it is known."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = uid or f"{series}.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", series
    dataset.Modality, dataset.SeriesDescription = "CT", "made here"
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.NumberOfFrames = len(pixels)
    dataset.Rows, dataset.Columns = pixels.shape[1:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = pixels.astype("<u2").tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dcmwrite(path, dataset, enforce_file_format=True)
    return str(path)


def noise(frame_count, rows=ROWS, columns=COLUMNS, seed=0):
    return np.random.default_rng(seed).integers(0, 4000, (frame_count, rows, columns)).astype(np.uint16)


class RecordingFile(io.RawIOBase):
    """A file that remembers which bytes were read."""

    def __init__(self, source, expected=None):
        self.file = open_source(source, expected)
        self.ranges = []

    def readinto(self, target):
        start = self.file.tell()
        count = self.file.readinto(target)
        self.ranges.append((start, start + (count or 0)))
        return count

    def seek(self, offset, whence=os.SEEK_SET):
        return self.file.seek(offset, whence)

    def tell(self):
        return self.file.tell()

    def seekable(self):
        return True

    def readable(self):
        return True

    def fileno(self):
        return self.file.fileno()

    def close(self):
        self.file.close()
        super().close()


@pytest.fixture
def opened(monkeypatch):
    """Every file opened, as recording files."""
    files = []

    def record(source, expected=None):
        files.append(RecordingFile(source, expected))
        return files[-1]

    monkeypatch.setattr(blocks, "open_source", record)
    monkeypatch.setattr(frames, "open_source", record)
    return files


def read_ranges(files):
    """What each file opened since the last call was read for."""
    found = [sorted(span for span in file.ranges if span[1] > span[0]) for file in files]
    files.clear()
    return found


@pytest.mark.parametrize(
    ("name", "plugin"),
    [
        ("CT_small.dcm", ""),
        ("MR_small_bigendian.dcm", ""),
        ("image_dfl.dcm", ""),
        ("SC_rgb_rle_2frame.dcm", ""),
        ("SC_rgb_rle_32bit_2frame.dcm", ""),
        ("liver_1frame.dcm", ""),
        ("emri_small_jpeg_ls_lossless.dcm", ""),
        ("emri_small_jpeg_2k_lossless.dcm", ""),
        ("JPEG-LL.dcm", ""),
        ("J2K_pixelrep_mismatch.dcm", ""),
        ("SC_ybr_full_uncompressed.dcm", ""),
        ("SC_rgb_jpeg_dcmtk.dcm", "pillow"),
        ("examples_ybr_color.dcm", "pillow"),
    ],
)
def test_pixels_equal_pydicoms(name, plugin):
    path = get_testdata_file(name, download=False)
    dataset = pipeline.open_dicom(path, decoding_plugin=plugin)
    source = dcmread(path) if name == "image_dfl.dcm" else path  # pydicom can't read it by its path
    wanted = range(min(dataset.pixels.shape[0], 5))
    decoded = [next(iter(iter_pixels(source, indices=[frame], decoding_plugin=plugin))) for frame in wanted]
    expected = np.stack(decoded)
    computed = dataset.pixels[: len(expected)].compute()
    assert computed.dtype == dataset.pixels.dtype
    assert computed.dims == (("frame", "y", "x") if expected.ndim == 3 else ("t", "c", "y", "x"))
    assert (computed.values == (expected if expected.ndim == 3 else np.moveaxis(expected, -1, 1))).all()


def test_a_dataset_says_what_the_header_says(tmp_path):
    pixels = noise(5)
    path = write_ct(tmp_path / "ct.dcm", pixels)
    dataset = pipeline.open_dicom(Path(path))
    assert dataset.attrs["RescaleIntercept"] == -1024.0
    assert dataset.attrs["PhotometricInterpretation"] == "MONOCHROME2"
    assert dataset.attrs["source"] == path
    assert dataset.attrs["StudyInstanceUID"] == "1.2.3"
    assert dataset.frame_number.values.tolist() == [1, 2, 3, 4, 5]
    assert set(dataset.sop_instance_uid.values) == {"1.2.3.4.1"}
    assert dataset.pixels.chunks == ((1,) * 5, (ROWS,), (COLUMNS,))
    assert (dataset.pixels.compute() == pixels).all()


def test_values_of_single_frames_become_coordinates():
    path = get_testdata_file("eCT_Supplemental.dcm", download=False)
    dataset = pipeline.open_dicom(path)
    groups = dcmread(path).PerFrameFunctionalGroupsSequence
    expected = [group.PlanePositionSequence[0].ImagePositionPatient for group in groups]
    assert dataset.ImagePositionPatient.dims == ("frame", "component_3")
    assert (dataset.ImagePositionPatient.values == np.array(expected, float)).all()


@pytest.mark.parametrize("per_block", [1, 2, 5, 99])
def test_blocks_of_several_frames(tmp_path, per_block):
    pixels = noise(5)
    dataset = pipeline.open_dicom(write_ct(tmp_path / "ct.dcm", pixels), frames_per_block=per_block)
    assert dataset.pixels.data.blocks[0].shape[0] == min(per_block, 5)
    assert (dataset.pixels.compute() == pixels).all()
    assert (dataset.pixels[[4, 0]].compute() == pixels[[4, 0]]).all()


def test_opening_computes_nothing(tmp_path):
    path = write_ct(tmp_path / "ct.dcm", noise(5))

    def computing(*_):
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=computing):
        dataset = pipeline.open_dicom(path)
        assert "dask.array" in repr(dataset)
        repr(pipeline.open_dicom(tmp_path))
        with pytest.raises(AssertionError, match="something was computed"):
            dataset.pixels[0].compute()


def test_opening_reads_no_pixels(tmp_path, opened):
    path = write_ct(tmp_path / "ct.dcm", noise(40, 256, 256))
    pipeline.open_dicom(path)
    (ranges,) = read_ranges(opened)
    assert sum(stop - start for start, stop in ranges) < 64 << 10 < Path(path).stat().st_size // 64


@pytest.mark.parametrize("encapsulated", [False, True])
def test_a_frame_costs_its_own_bytes(tmp_path, opened, encapsulated):
    pixels = noise(9, 64, 64)
    path = write_ct(tmp_path / "ct.dcm", pixels)
    if encapsulated:
        dataset = dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.PixelData = encapsulate(list(_rle_frames(dataset)), has_bot=False)
        dataset.save_as(path)
    lazy = pipeline.open_dicom(path).pixels
    opened.clear()
    assert (lazy[6].compute() == pixels[6]).all()
    wanted = [(offset, offset + length) for offset, length in frames.build_index(path).ranges(6)]
    assert read_ranges(opened) == [wanted]
    lazy[[1, 2]].compute()
    assert len(read_ranges(opened)) == 2


def _rle_frames(dataset):
    from pydicom.encaps import generate_frames  # noqa: PLC0415  only here

    return generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames)


def made_source(number_of_frames):
    """A source whose frame index is large: nothing is read from it."""
    index = frames.build_index(get_testdata_file("emri_small_jpeg_ls_lossless.dcm", download=False))
    many = np.arange(number_of_frames + 1, dtype=np.uint64)
    index = replace(
        index,
        number_of_frames=number_of_frames,
        fragment_offsets=many[1:] * 10,
        fragment_lengths=many[1:],
        frame_fragments=many,
    )
    return FrameSource("nowhere", 0, 0, index)


def test_the_frame_index_travels_once():
    source = made_source(20_000)
    lazy = frames_of_file(source, Decoding(PixelFormat(64, 64, 1, "uint16", "")), 1)
    index_bytes = len(source.index.to_bytes())
    assert len(pickle.dumps(lazy)) < 1.2 * index_bytes
    for part in (lazy, lazy[100:200], lazy.max(axis=0)):
        (optimized,) = dask.optimize(part)
        holders = [
            value for value in dict(optimized.__dask_graph__()).values() if len(pickle.dumps(value)) > index_bytes
        ]
        assert len(holders) == 1


def test_it_works_on_a_cluster_of_processes(tmp_path):
    pixels = noise(6)
    path = write_ct(tmp_path / "ct.dcm", pixels)
    for number in range(4):
        write_ct(tmp_path / f"{number}.dcm", pixels[:1] + number, number=number, z=number, series="1.9")
    one, many = pipeline.open_dicom(path), pipeline.open_dicom(tmp_path)["1.9"]
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        assert (one.pixels.compute() == pixels).all()
        assert one.pixels.max().compute() == pixels.max()
        assert (many.pixels.compute() == np.concatenate([pixels[:1] + number for number in range(4)])).all()


def test_a_promise_that_frames_do_not_keep_is_an_error(tmp_path):
    path = write_ct(tmp_path / "ct.dcm", noise(3))
    info = Path(path).stat()
    source = FrameSource(path, info.st_size, info.st_mtime_ns, frames.build_index(path))
    fitting = Decoding(PixelFormat(ROWS, COLUMNS, 1, "int32", ""))
    assert (frames_of_file(source, fitting, 1).compute() == noise(3)).all()
    with pytest.raises(DecodeError, match="uint8 can't hold") as caught:
        frames_of_file(source, Decoding(PixelFormat(ROWS, COLUMNS, 1, "uint8", "")), 1)[2].compute()
    assert (caught.value.source, caught.value.frame, caught.value.reason) == (path, 2, "frame_mismatch")
    with pytest.raises(PixelDataError, match=r"frame 1 decodes to shape \(12, 10\).*promise \(12, 10, 3\)"):
        frames_of_file(source, Decoding(PixelFormat(ROWS, COLUMNS, 3, "uint16", "")), 1)[1].compute()


def test_a_file_that_changed_or_went_is_named(tmp_path):
    path = write_ct(tmp_path / "ct.dcm", noise(3))
    dataset = pipeline.open_dicom(path)
    write_ct(path, noise(4, seed=1))
    with pytest.raises(PixelDataError, match="changed since its header was read") as caught:
        dataset.pixels[0].compute()
    assert caught.value.reason == "source_changed"
    Path(path).unlink()
    with pytest.raises(SourceError, match="no such file"):
        dataset.pixels[0].compute()


@pytest.mark.parametrize("per_block", [1, 2])
def test_a_folder_becomes_stacks_in_order(tmp_path, per_block):
    pixels = noise(5)
    for position in (3, 0, 4, 1, 2):
        write_ct(tmp_path / f"{9 - position}.dcm", pixels[position : position + 1], number=position, z=2.5 * position)
    volume = noise(3, seed=2)
    write_ct(tmp_path / "volume.dcm", volume, series="1.2.3.9")
    (tmp_path / "copy.dcm").write_bytes((tmp_path / "5.dcm").read_bytes())
    (tmp_path / "notes.csv.bak").write_text("not DICOM")
    images = pipeline.open_dicom(tmp_path, frames_per_block=per_block)
    assert list(images) == ["1.2.3/1.2.3.4/stack-1", "1.2.3/1.2.3.9/1.2.3.9.1"]
    stack = images["stack-1"]
    assert (stack.pixels.compute() == pixels).all()
    assert stack.pixels.data.numblocks[0] == -(-5 // per_block)
    assert stack.ImagePositionPatient.values[:, 2].tolist() == [0, 2.5, 5, 7.5, 10]
    assert stack.sop_instance_uid.values.tolist() == [f"1.2.3.4.{n}" for n in range(5)]
    assert stack.frame_number.values.tolist() == [1] * 5
    assert stack.attrs["frame_order"] == "position"
    assert (images["1.2.3.9.1"].pixels.compute() == volume).all()
    assert {(Path(row["source"]).name, row["status"], row["reason"]) for row in images.left_out} == {
        ("copy.dcm", "skipped", "duplicate"),
        ("notes.csv.bak", "rejected", "not_dicom"),
    }
    assert "2 file(s) hold no image: see left_out" in repr(images)
    first = images.images[0]
    assert (first.shape, first.modality, first.series_description) == ((5, ROWS, COLUMNS), "CT", "made here")


def test_the_same_images_as_a_conversion(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for position in range(4):
        write_ct(folder / f"{position}.dcm", noise(1, seed=position), number=position, z=-position)
    for name in ("eCT_Supplemental.dcm", "SC_rgb_rle_2frame.dcm"):
        (folder / name).write_bytes(Path(get_testdata_file(name, download=False)).read_bytes())
    pipeline.convert([folder], tmp_path / "out", cluster={"kind": "synchronous"})
    converted, untouched = pipeline.open(tmp_path / "out"), pipeline.open_dicom(folder)
    assert list(converted) == list(untouched)
    assert len(converted) == 3
    for path, dataset in converted.items():
        other = untouched[path]
        assert (dataset.pixels.values == other.pixels.values).all()
        assert set(other.coords) <= set(dataset.coords)
        for name, values in other.coords.items():
            assert values.dims == dataset[name].dims, name
            np.testing.assert_array_equal(values.values.tolist(), dataset[name].values.tolist(), name)
        for keyword in set(other.attrs) - {"source"}:
            assert dataset.attrs[keyword] == other.attrs[keyword], keyword


def test_lists_and_patterns(tmp_path):
    first = write_ct(tmp_path / "a.dcm", noise(2))
    second = write_ct(tmp_path / "b.dcm", noise(3), series="1.5")
    assert len(pipeline.open_dicom([first, Path(second)])) == 2
    assert len(pipeline.open_dicom(str(tmp_path / "*.dcm"))) == 2
    assert len(pipeline.open_dicom([first])) == 1
    (tmp_path / "list.txt").write_text("a.dcm\n")
    assert len(pipeline.open_dicom(tmp_path / "list.txt")) == 1


def test_what_cannot_be_opened_is_named(tmp_path):
    (tmp_path / "text.dcm").write_text("no DICOM at all, only some text that is long enough to be read as a header")
    with pytest.raises(NotDicomError, match=r"text\.dcm"):
        pipeline.open_dicom(tmp_path / "text.dcm")
    with pytest.raises(SourceError, match=r"gone\.dcm"):
        pipeline.open_dicom(tmp_path / "gone.dcm")
    with pytest.raises(NoPixelDataError):
        pipeline.open_dicom(get_testdata_file("rtplan.dcm", download=False))
    with pytest.raises(ConfigError):
        pipeline.open_dicom(tmp_path / "*.nothing")
    with pytest.raises(ValueError, match="frames_per_block=0"):
        pipeline.open_dicom(tmp_path, frames_per_block=0)


def test_raw_and_options_reach_the_decoder():
    path = get_testdata_file("SC_ybr_full_uncompressed.dcm", download=False)
    raw = pipeline.open_dicom(path, raw=True)
    assert raw.attrs["PhotometricInterpretation"] == "YBR_FULL"
    assert (raw.pixels[0].values == next(iter(iter_pixels(path, raw=True))).transpose(2, 0, 1)).all()
    assert pipeline.open_dicom(path).attrs["PhotometricInterpretation"] == "RGB"
    signed = get_testdata_file("J2K_pixelrep_mismatch.dcm", download=False)
    off = pipeline.open_dicom(signed, apply_j2k_sign_correction=False).pixels[0].values
    assert (off != pipeline.open_dicom(signed).pixels[0].values).any()


@pytest.mark.parametrize(
    "name",
    ["SC_rgb_rle_2frame.dcm", "examples_ybr_color.dcm", "SC_ybr_full_422_uncompressed.dcm", "examples_jpeg2k.dcm"],
)
@pytest.mark.parametrize("raw", [False, True])
def test_the_photometric_interpretation_foretold_is_the_decoded_one(name, raw):
    path = get_testdata_file(name, download=False)
    index = frames.build_index(path)
    with open_source(path) as file:
        decoded = frames.FrameReader(file, index, raw=raw, source=path).read(0)
    declared = str(index.options["photometric_interpretation"])
    foretold = decoded_photometric(declared, raw=raw, encapsulated=index.encapsulated)
    assert foretold == decoded.photometric_interpretation
