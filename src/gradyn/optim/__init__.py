"""How is it trained? Losses, penalties, clipping, optimizers."""

from gradyn.optim.clips import AbstractClip, Adaptive, GlobalL2, LayerL2, NoClip, Value
from gradyn.optim.losses import AbstractLoss, Cotangent, CrossEntropy, Mse
from gradyn.optim.optimizers import AbstractOptimizer, Adam, Momentum, Sgd
from gradyn.optim.penalties import L1, L2, AbstractPenalty, NoPenalty, OrthogonalPenalty, Steady
from gradyn.optim.rates import AbstractRates, Discriminative, MaximalUpdateRates, UniformRates

__all__ = [
    "L1",
    "L2",
    "AbstractClip",
    "AbstractLoss",
    "AbstractOptimizer",
    "AbstractPenalty",
    "AbstractRates",
    "Adam",
    "Adaptive",
    "Cotangent",
    "CrossEntropy",
    "Discriminative",
    "GlobalL2",
    "LayerL2",
    "MaximalUpdateRates",
    "Momentum",
    "Mse",
    "NoClip",
    "NoPenalty",
    "OrthogonalPenalty",
    "Sgd",
    "Steady",
    "UniformRates",
    "Value",
]
