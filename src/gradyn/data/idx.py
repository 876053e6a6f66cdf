"""The user's own files in the format of MNIST and Fashion-MNIST."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradyn.core import ConfigError, stream
from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, Standardize
from gradyn.data.idx_format import IdxError, idx_bytes, read_idx

_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

_FIX = f"Put {', '.join(_FILES)} (or the same with .gz) into one folder and set data.path to it."

_Array = NDArray[np.generic]
_Stamp = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Idx(AbstractData):
    """MNIST-, Fashion-MNIST- or KMNIST-format files in a folder: `train-images-idx3-ubyte` and its three companions, plain or .gz.

    The training part is the files' training part, the test part theirs. Classes are 0 .. the largest label. The run's identity
    holds the hash of the files' contents (as if not compressed), never the path.

    Args:
        path: the folder; relative to where the command runs, `~` is your home.
        seed: draws the subset, where one is asked for.
        subset: training images used, drawn without replacement; null: all, in the files' order.
        standardize: none: values as they are; global: minus one mean, over one standard deviation, of all training values;
            feature: each pixel by its own. Statistics from the training part only (after `subset`); constant pixels stay 0.

    Source: LeCun, Cortes and Burges, The MNIST database of handwritten digits, section "File formats".
    """

    path: str = "mnist"
    seed: int = 0
    subset: int | None = None
    standardize: Standardize = "global"

    def __post_init__(self) -> None:
        self.require(isinstance(self.path, str) and self.path != "", "path", "be the name of a folder", _FIX)
        self.require_seed()
        if self.subset is not None:
            self.require_count("subset")
        self.require_standardize()

    @classmethod
    def write(cls, folder: str | Path, train: tuple[_Array, _Array], test: tuple[_Array, _Array]) -> None:
        """Write arrays of your own as the four files that `data=idx data.path=<folder>` reads.

        Args:
            folder: made where it is not there; files of these names are replaced.
            train: x [S, ...], numbers of any meaning, and labels y [S], whole numbers from 0.
            test: the same of the held-out part.

        Raises:
            ConfigError: the arrays don't fit each other, or the format; nothing is written.
        """
        found = []
        for name, array in zip(_FILES, (*train, *test), strict=True):
            try:
                _check_values(np.asarray(array), is_labels="labels" in name)
                found.append(idx_bytes(np.asarray(array)))
            except IdxError as error:
                part = f"{'test' if name.startswith('t10k') else 'train'}[{int('labels' in name)}]"
                raise ConfigError(part, f"fit the idx format; {error}", f"an array of shape {np.shape(array)}") from error
        _require_pairs([np.asarray(array) for array in (*train, *test)], str(folder))
        place = Path(folder).expanduser()
        place.mkdir(parents=True, exist_ok=True)
        for name, contents in zip(_FILES, found, strict=True):
            # One of both: a file that is there compressed would be passed over for the new one without a word.
            (place / f"{name}.gz").unlink(missing_ok=True)
            (place / name).write_bytes(contents)

    @property
    def features(self) -> int:
        """M: pixels of an image, row by row."""
        return _survey(self.path, self._stamps()).features

    @property
    def classes(self) -> int:
        """C: the largest label of both parts, plus one."""
        return _survey(self.path, self._stamps()).classes

    @property
    def samples(self) -> int:
        """Rows used of both parts."""
        return self.train_samples + _survey(self.path, self._stamps()).test_samples

    @property
    def train_samples(self) -> int:
        """S: the subset, or all training images."""
        available = _survey(self.path, self._stamps()).train_samples
        self.require(self.subset is None or self.subset <= available, "subset", f"be at most {available}, the images in {_FILES[0]}")
        return available if self.subset is None else self.subset

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Stands in for `path` in the run's identity: sha256 over the four files' contents, decompressed."""
        return {"path": f"sha256:{_survey(self.path, self._stamps()).sha256}"}

    def load(self) -> Dataset:
        """Read and check the four files, draw the subset, standardise.

        Raises:
            ConfigError: a file is missing, cut off, or not of this format.
        """
        wanted = self.train_samples
        (x, y, x_test, y_test), _ = _read(self.path, self._stamps())
        rows = np.arange(len(x)) if self.subset is None else stream(self.seed, "subset").permutation(len(x))[:wanted]
        tests = np.arange(len(x), len(x) + len(x_test))
        # Both parts as one table, so that `parted` cuts and standardises as for every other set.
        images = np.concatenate([x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)])
        return self.parted(images, np.concatenate([y, y_test]).astype(np.int64), None, (rows, tests), self.standardize)

    def _stamps(self) -> tuple[_Stamp, ...]:
        # Of the four files: path, time of change, bytes. What is read once is read again only when one of them differs.
        folder = Path(self.path).expanduser()
        self.require(folder.is_dir(), "path", "be a folder that exists", _FIX)
        found = []
        for name in _FILES:
            present = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
            self.require(bool(present), "path", f"hold {name} or {name}.gz", _FIX)
            status = present[0].stat()
            found.append((os.fspath(present[0]), status.st_mtime_ns, status.st_size))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Survey:
    """What planning needs to know of the four files."""

    features: int
    classes: int
    train_samples: int
    test_samples: int
    sha256: str


@lru_cache(maxsize=16)
def _survey(path: str, stamps: tuple[_Stamp, ...]) -> _Survey:
    # Sizes are asked for several times by each run of a plan; only these few numbers are kept, not the images.
    (x, y, x_test, y_test), sha256 = _read(path, stamps)
    return _Survey(x[0].size, int(max(y.max(), y_test.max())) + 1, len(x), len(x_test), sha256)


def _read(path: str, stamps: tuple[_Stamp, ...]) -> tuple[list[_Array], str]:
    # The four arrays, [S, ...], [S], [T, ...], [T], in the files' types, and the hash of their contents.
    arrays: list[_Array] = []
    digest = hashlib.sha256()
    for name, (file, _, _) in zip(_FILES, stamps, strict=True):
        try:
            array, contents = read_idx(Path(file))
            _check_values(array, is_labels="labels" in name)
        except (IdxError, OSError) as error:
            rule = f"hold four whole idx files; {Path(file).name} is none: {(isinstance(error, OSError) and error.strerror) or error}"
            raise ConfigError("data.path", rule, path, "Get that file again.") from error
        arrays.append(array)
        digest.update(hashlib.sha256(contents).digest())
    _require_pairs(arrays, path)
    return arrays, digest.hexdigest()


def _require_pairs(arrays: list[_Array], path: str) -> None:
    x, y, x_test, y_test = arrays
    for part, images, labels in (("train", x, y), ("t10k", x_test, y_test)):
        if len(images) != len(labels):
            raise ConfigError("data.path", f"hold as many labels as images; {part} has {len(labels)} labels, {len(images)} images", path)
    if x.shape[1:] != x_test.shape[1:]:
        raise ConfigError("data.path", f"hold images of one size; train has {x.shape[1:]}, t10k {x_test.shape[1:]}", path)


def _check_values(array: _Array, *, is_labels: bool) -> None:
    if array.size == 0:
        raise IdxError("it holds no value")
    if is_labels and (array.ndim != 1 or array.dtype.kind not in "iu" or int(array.min()) < 0):
        raise IdxError("labels are whole numbers >= 0 in one dimension")
    if not is_labels and array.ndim < 2:
        raise IdxError("images have at least two dimensions")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise IdxError("it holds values that are not finite")
