"""ON WHAT?  Data sets: components that turn a seed (and, for some, a file) into float64 arrays, drawn alike on every machine.

Real data: `Digits` (the default), `Mnist5k`, `Mnist1d`, `Idx`. Data for theory: `Gaussian`, `Teacher`, `Pair`, `Circle`, `Arc`, `Line`.

>>> from gradyn.data import Digits, batch_order
>>> data = Digits(seed=0).load()
>>> order = batch_order(len(data.x_train), batch_size=128, steps=50, seed=0)
>>> data.x_train[order[0]].shape
(128, 64)
"""

from gradyn.data.abstract import AbstractData
from gradyn.data.adding import Adding
from gradyn.data.arc import Arc
from gradyn.data.batches import batch_order
from gradyn.data.circle import Circle
from gradyn.data.copy_memory import CopyMemory
from gradyn.data.dataset import Dataset, Standardize
from gradyn.data.digits import Digits
from gradyn.data.gaussian import Gaussian
from gradyn.data.idx import Idx
from gradyn.data.line import Line
from gradyn.data.mnist1d import Mnist1d
from gradyn.data.mnist5k import Mnist5k
from gradyn.data.pair import Pair
from gradyn.data.recall import Recall
from gradyn.data.teacher import Teacher

__all__ = [
    "AbstractData",
    "Adding",
    "Arc",
    "Circle",
    "CopyMemory",
    "Dataset",
    "Digits",
    "Gaussian",
    "Idx",
    "Line",
    "Mnist1d",
    "Mnist5k",
    "Pair",
    "Recall",
    "Standardize",
    "Teacher",
    "batch_order",
]
