"""ON WHAT?  Data sets: components that turn a seed (and, for some, a file) into float64 arrays, the same on every machine.

Real data: `Digits` (the default), `Mnist5k`, `Mnist1d`, `Idx`. Data for theory: `Gaussian`, `Teacher`, `Pair`, `Circle`.

>>> from gradyn.data import Digits, batch_order
>>> data = Digits(seed=0).load()
>>> order = batch_order(len(data.x_train), batch_size=128, steps=50, seed=0)
>>> data.x_train[order[0]].shape
(128, 64)
"""

from gradyn.data.abstract import AbstractData
from gradyn.data.batches import batch_order
from gradyn.data.dataset import Dataset, Standardize
from gradyn.data.digits import Digits
from gradyn.data.gaussian import Gaussian

__all__ = ["AbstractData", "Dataset", "Digits", "Gaussian", "Standardize", "batch_order"]
