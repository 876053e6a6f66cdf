"""The idx format: everything that is written is read back, everything else is refused in one line."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradyn.core import ConfigError
from gradyn.data import Idx
from gradyn.data.idx_format import IdxError, read_idx
from gradyn.data.idx_format import idx_bytes as ours
from idx_files import CODES, NAMES, arrays, idx_bytes, write_folder

# One folder for all examples of a property: each example writes its file anew.
shared_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

any_array = st.sampled_from(sorted(CODES)).flatmap(lambda kind: hnp.arrays(np.dtype(kind), hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)))


@given(array=any_array)
def test_our_writer_writes_what_the_format_says(array: np.ndarray) -> None:
    assert ours(array) == idx_bytes(array)


@given(array=any_array, compressed=st.booleans())
@shared_folder
def test_what_is_written_is_read_back(array: np.ndarray, compressed: bool, tmp_path: Path) -> None:
    contents = idx_bytes(array)
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(contents) if compressed else contents)
    found, raw = read_idx(path)
    assert raw == contents
    assert found.shape == array.shape
    assert found.dtype.str[1:] == array.dtype.str[1:]
    assert found.astype(array.dtype).tobytes() == array.tobytes()


@given(array=any_array, compressed=st.booleans(), data=st.data())
@shared_folder
def test_a_file_cut_off_anywhere_is_refused(array: np.ndarray, compressed: bool, data: st.DataObject, tmp_path: Path) -> None:
    contents = gzip.compress(idx_bytes(array)) if compressed else idx_bytes(array)
    path = tmp_path / "file"
    path.write_bytes(contents[: data.draw(st.integers(0, len(contents) - 1))])
    with pytest.raises(IdxError):
        read_idx(path)


@given(array=any_array, extra=st.binary(min_size=1, max_size=20))
@shared_folder
def test_a_file_that_goes_on_is_refused(array: np.ndarray, extra: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(idx_bytes(array) + extra)
    with pytest.raises(IdxError, match="goes on after"):
        read_idx(path)


@given(contents=st.binary(max_size=200) | st.builds(lambda rest: b"\x1f\x8b" + rest, st.binary(max_size=100)))
@shared_folder
def test_garbage_is_refused_or_is_an_idx_file_by_chance(contents: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(contents)
    try:
        array, raw = read_idx(path)
    except IdxError:
        return
    assert raw == contents
    assert raw.endswith(array.tobytes())


@given(contents=st.binary(min_size=1, max_size=60), place=st.integers(0, 10_000))
@shared_folder
def test_a_damaged_gzip_stream_is_refused_or_unharmed(contents: bytes, place: int, tmp_path: Path) -> None:
    whole = gzip.compress(idx_bytes(np.frombuffer(contents, np.uint8)), mtime=0)
    damaged = bytearray(whole)
    damaged[place % len(whole)] ^= 0xFF
    path = tmp_path / "file"
    path.write_bytes(bytes(damaged))
    try:
        array, _ = read_idx(path)
    except IdxError:
        return
    # Bytes of the gzip header that say nothing about the contents (time, system).
    assert array.tobytes() == contents


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (b"", "begins with nothing"),
        (b"\0\0\x08", "begins with 00 00 08"),
        (b"\1\0\x08\1", "begins with 01 00 08 01"),
        (b"\0\1\x08\1", "begins with 00 01 08 01"),
        (b"\0\0\x0a\1", "begins with 00 00 0a 01"),
        (b"\0\0\x08\0", "has 0 dimensions"),
        (b"\0\0\x08\xff", "has 255 dimensions"),
        (b"\0\0\x08\2", "cut off within its header"),
    ],
)
def test_a_wrong_header_is_refused(header: bytes, line: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    # Right for one dimension of one byte, were the first four bytes right.
    path.write_bytes(header + (struct.pack(">I", 1) + b"x" if len(header) == 4 else b""))
    with pytest.raises(IdxError, match=line):
        read_idx(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_header_that_promises_terabytes_allocates_nothing(compressed: bool, tmp_path: Path) -> None:
    contents = struct.pack(">BBBB4I", 0, 0, 0x0E, 4, *[2**32 - 1] * 4) + b"few"
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(contents) if compressed else contents)
    with pytest.raises(IdxError, match=r"promises .* bytes of values, it has 3"):
        read_idx(path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.mkdir, (str(tmp_path / "executed"),))

    folder = write_folder(tmp_path / "data", arrays())
    (folder / NAMES[0]).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ConfigError, match=r"data\.path must hold four whole idx files; train-images-idx3-ubyte is none: it begins with 80 04"):
        Idx(str(folder)).load()
    assert not (tmp_path / "executed").exists()


def test_the_folder_is_read_as_its_arrays_say(tmp_path: Path) -> None:
    contents = arrays()
    found = Idx(str(write_folder(tmp_path, contents)), standardize="none").load()
    np.testing.assert_array_equal(found.x_train, contents[0].reshape(30, 25))
    np.testing.assert_array_equal(found.y_train, contents[1])
    np.testing.assert_array_equal(found.x_test, contents[2].reshape(12, 25))
    np.testing.assert_array_equal(found.y_test, contents[3])


def test_identity_is_the_contents_and_neither_the_path_nor_the_compression(tmp_path: Path) -> None:
    one = Idx(str(write_folder(tmp_path / "one", arrays())))
    two = Idx(str(write_folder(tmp_path / "two", arrays(), compressed=True)))
    other = Idx(str(write_folder(tmp_path / "other", arrays(seed=1))))
    assert one.fingerprint == two.fingerprint
    assert one.fingerprint != other.fingerprint
    # The fingerprint stands in for the path when settings and fingerprint are merged.
    assert one.fingerprint.keys() <= one.settings.keys()
    assert {**one.settings, **one.fingerprint} == {**two.settings, **two.fingerprint}


def test_identity_follows_a_file_that_changes(tmp_path: Path) -> None:
    data = Idx(str(write_folder(tmp_path, arrays())))
    before = data.fingerprint
    changed = arrays()
    changed[2] = np.concatenate([changed[2], changed[2][:1]])
    changed[3] = np.concatenate([changed[3], changed[3][:1]])
    write_folder(tmp_path, changed)
    assert data.fingerprint != before
    assert data.samples == 43


def test_a_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_folder(tmp_path / "mine", arrays())
    assert Idx("~/mine").train_samples == 30


def test_a_subset_is_drawn_from_the_training_images_without_replacement(tmp_path: Path) -> None:
    folder = str(write_folder(tmp_path, arrays()))
    whole, part = Idx(folder, standardize="none").load(), Idx(folder, subset=20, standardize="none").load()
    rows = {row.tobytes() for row in part.x_train}
    assert len(rows) == 20
    assert rows <= {row.tobytes() for row in whole.x_train}
    np.testing.assert_array_equal(part.x_test, whole.x_test)
    with pytest.raises(ConfigError, match=r"data\.subset must be at most 30.*; got 31"):
        Idx(folder, subset=31).load()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.path must be a folder that exists; got '.*nowhere'\. Put train-images-idx3-ubyte,"):
        _ = Idx(str(tmp_path / "nowhere")).features


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, arrays())
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=rf"data\.path must hold {name} or {name}\.gz"):
        _ = Idx(str(folder)).fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_file_is_named(name: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, arrays())
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=rf"data\.path must hold four whole idx files; {name} is none: its header promises \d+ bytes of values, it has \d+;"):
        _ = Idx(str(folder)).train_samples


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path, arrays())

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("gradyn.data.idx.read_idx", refused)
    with pytest.raises(ConfigError, match=r"data\.path must .*train-images-idx3-ubyte is none: Permission denied;"):
        Idx(str(folder)).load()


@pytest.mark.parametrize(
    ("place", "wrong", "line"),
    [
        (1, np.zeros((30, 1), np.uint8), "labels are whole numbers >= 0 in one dimension"),
        (1, np.zeros(30, np.float32), "labels are whole numbers >= 0 in one dimension"),
        (1, np.full(30, -1, np.int8), "labels are whole numbers >= 0 in one dimension"),
        (0, np.zeros(30, np.uint8), "images have at least two dimensions"),
        (0, np.zeros((0, 5, 5), np.uint8), "it holds no value"),
        (2, np.full((12, 5, 5), np.nan), "it holds values that are not finite"),
        (1, np.zeros(29, np.uint8), "as many labels as images; train has 29 labels, 30 images"),
        (2, np.zeros((12, 4, 5), np.uint8), r"images of one size; train has \(5, 5\), t10k \(4, 5\)"),
    ],
)
def test_files_that_do_not_fit_are_refused(place: int, wrong: np.ndarray, line: str, tmp_path: Path) -> None:
    contents = arrays()
    contents[place] = wrong
    with pytest.raises(ConfigError, match=rf"data\.path must hold .*{line}"):
        Idx(str(write_folder(tmp_path, contents))).load()


def test_arrays_of_ones_own_become_a_data_set(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    x, y, x_test, y_test = rng.standard_normal((9, 4)), np.arange(9) % 3, rng.standard_normal((5, 4)), np.arange(5) % 3
    # A file that is there compressed comes first when read: it must not outlive the new one.
    write_folder(tmp_path / "own", arrays(), compressed=True)
    Idx.write(tmp_path / "own", (x, y), (x_test, y_test))
    data = Idx(path=str(tmp_path / "own"), standardize="none")
    assert (data.features, data.classes, data.train_samples) == (4, 3, 9)
    loaded = data.load()
    assert np.array_equal(loaded.x_train, x)
    assert np.array_equal(loaded.y_train, y)
    assert np.array_equal(loaded.x_test, x_test)


@pytest.mark.parametrize(
    ("place", "wrong", "line"),
    [
        (0, np.ones((9, 4), dtype=np.complex128), r"train\[0\] must fit the idx format; it is of type complex128"),
        (1, np.arange(9) + 2**40, r"train\[1\] must fit the idx format; it has whole numbers beyond 32 bits"),
        (1, np.arange(9) - 1, r"train\[1\] must fit .* labels are whole numbers >= 0"),
        (2, np.full((5, 4), np.nan), r"test\[0\] must fit .* not finite"),
        (3, np.zeros(4, dtype=int), "as many labels as images"),
        (2, np.zeros((5, 3)), "images of one size"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_and_nothing_is_written(place: int, wrong: np.ndarray, line: str, tmp_path: Path) -> None:
    given = [np.zeros((9, 4)), np.zeros(9, dtype=int), np.zeros((5, 4)), np.zeros(5, dtype=int)]
    given[place] = wrong
    with pytest.raises(ConfigError, match=line):
        Idx.write(tmp_path / "own", (given[0], given[1]), (given[2], given[3]))
    assert not (tmp_path / "own").exists()
