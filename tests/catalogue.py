"""The catalogue as the laws sweep it: every final class, at its defaults and at other settings; new classes enrol themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gradyn.core import groups, options


def shipped(group: str) -> dict[str, Any]:
    """The final classes of a group that are gradyn's own: the tests define some too, broken ones among them."""
    return {name: cls for name, cls in options(groups()[group]).items() if cls.__module__.startswith("gradyn.")}


def _all(group: str) -> list[Any]:
    return [cls() for cls in shipped(group).values()]


def activations() -> list[Any]:
    """Every activation, the parametrized ones at a second setting too."""
    found = _all("activation")
    return found + [replace(a, **{key: 0.3}) for a in found for key in a.settings]


def activations_slow_but(*names: str) -> list[Any]:
    """Every activation as a parameter, those not named marked slow: for laws that cost a second each."""
    return [a if a.name in names else pytest.param(a, marks=pytest.mark.slow) for a in activations()]


def norms() -> list[Any]:
    """Every normalization that does something, with and without eps."""
    found = [norm for norm in _all("norm") if norm.where is not None]
    return found + [replace(norm, eps=0.0) for norm in found if norm.settings.get("eps")]


def initializers() -> list[Any]:
    """Every initializer, those with a gain or a scale at a second one too."""
    found = _all("init")
    return found + [replace(init, **{key: 0.7}) for init in found for key in ("gain", "sigma_w", "std") if key in init.settings]


def residuals() -> list[Any]:
    """Every residual scheme with every branch that it takes."""
    found = _all("residual")
    return found + [replace(residual, branch="full") for residual in found if residual.settings.get("branch") == "reduced"]


def losses() -> list[Any]:
    """Every loss, with every kind of vectors."""
    found = _all("loss")
    return found + [replace(loss, vectors=vectors) for loss in found for vectors in ("rademacher", "shared") if "vectors" in loss.settings]


def clips() -> list[Any]:
    """Every clip."""
    return _all("clip")


def optimizers() -> list[Any]:
    """Every optimizer, without and with decoupled weight decay."""
    found = _all("optimizer")
    return found + [replace(optimizer, weight_decay=0.1) for optimizer in found]


def penalties() -> list[Any]:
    """Every penalty of weights that adds something, strong enough to be seen."""
    return [replace(penalty, coefficient=0.01) for penalty in _all("penalty") if penalty.is_active and penalty.is_of_weights]


def dropouts() -> list[Any]:
    """Every dropout."""
    return _all("dropout")
