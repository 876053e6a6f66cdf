"""Sequences of symbols: what is shown, what is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from gradyn.core import ConfigError
from gradyn.data import CopyMemory


def test_copy_memory_asks_for_one_of_the_symbols_that_it_shows() -> None:
    data = CopyMemory(length=7, shown=3, symbols=5, samples=200, noise=0.1)
    loaded = data.load()
    x = np.concatenate([loaded.x_train, loaded.x_test]).reshape(200, 7, 8)
    labels = np.concatenate([loaded.y_train, loaded.y_test])
    shown, asked = x[:, :3, :5].argmax(2), x[:, -1, 5:].argmax(1)
    assert (shown[np.arange(200), asked] == labels).all()
    assert np.array_equal(x[:, :3].sum(2), np.ones((200, 3)))
    assert np.array_equal(x[:, -1].sum(1), np.ones(200))
    # 3 steps of 8 channels between: 4,800 draws scatter by 1 / sqrt(9600) = 1 %.
    assert x[:, 3:6].std() == pytest.approx(0.1, rel=0.05)
    # Every place is asked for, and what the last step says of it is no symbol.
    assert set(asked) == {0, 1, 2}
    assert not x[:, -1, :5].any()
    with pytest.raises(ConfigError, match=r"data\.length must be above data\.shown=7: the last step asks; got 7\. Show fewer symbols, or take more steps\."):
        CopyMemory(length=7, shown=7)
