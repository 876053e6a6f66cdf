"""The order of the samples: every epoch a permutation, every run a beginning of a longer one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradyn.core import ConfigError
from gradyn.data import batch_order


@settings(deadline=None)
@given(samples=st.integers(1, 40), steps=st.integers(0, 30), seed=st.integers(0, 2**31), data=st.data())
def test_an_epoch_shows_no_sample_twice_and_a_longer_run_begins_like_a_shorter_one(samples: int, steps: int, seed: int, data: st.DataObject) -> None:
    batch_size = data.draw(st.integers(1, samples))
    order = batch_order(samples, batch_size, steps, seed)
    assert order.shape == (steps, batch_size)
    assert order.dtype == np.int64
    assert ((order >= 0) & (order < samples)).all()
    per_epoch = samples // batch_size
    for start in range(0, steps, per_epoch):
        epoch = order[start : start + per_epoch].ravel()
        assert len(np.unique(epoch)) == len(epoch)
    np.testing.assert_array_equal(batch_order(samples, batch_size, steps + 3, seed)[:steps], order)


def test_the_batch_order_differs_between_seeds_and_between_epochs() -> None:
    order = batch_order(100, 100, 2, seed=0)
    assert not np.array_equal(order[0], order[1])
    assert not np.array_equal(order, batch_order(100, 100, 2, seed=1))


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_that_no_epoch_fills_is_refused(batch_size: int) -> None:
    with pytest.raises(ConfigError, match=rf"batch_size must be between 1 and the 10 training samples; got {batch_size}"):
        batch_order(10, batch_size, 1, seed=0)
