"""Adaptive Gauss-Kronrod quadrature of many integrals at once, against the density of a standard normal variable.

All panels of all integrals are evaluated by one call a round; those that are not settled are halved. Smooth integrands of width one settle in one or two
rounds, a narrow or oscillating one takes as many panels as it needs.

Axes: K panels, E edges, Q nodes of a panel, P integrals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Owners: TypeAlias = NDArray[np.intp]

# Nodes and weights of the 21-point Kronrod rule (QUADPACK's qk21; Piessens et al. 1983); every second node belongs to Gauss's 10-point rule.
_POSITIVE_NODES = (
    0.995657163025808080735527280689003,
    0.973906528517171720077964012084452,
    0.930157491355708226001207180059508,
    0.865063366688984510732096688423493,
    0.780817726586416897063717578345042,
    0.679409568299024406234327365114874,
    0.562757134668604683339000099272694,
    0.433395394129247190799265943165784,
    0.294392862701460198131126603103866,
    0.148874338981631210884826001129720,
)
_POSITIVE_WEIGHTS = (
    0.011694638867371874278064396062192,
    0.032558162307964727478818972459390,
    0.054755896574351996031381300244580,
    0.075039674810919952767043140916190,
    0.093125454583697605535065465083366,
    0.109387158802297641899210590325805,
    0.123491976262065851077958109831074,
    0.134709217311473325928054001771707,
    0.142775938577060080797094273138717,
    0.147739104901338491374841515972068,
)
_CENTRAL_WEIGHT = 0.149445554002916905664936468389821
NODES_Q: Array = np.array([-x for x in _POSITIVE_NODES] + [0.0] + list(reversed(_POSITIVE_NODES)))
KRONROD_Q: Array = np.array([*_POSITIVE_WEIGHTS, _CENTRAL_WEIGHT, *reversed(_POSITIVE_WEIGHTS)])
GAUSS_Q: Array = np.zeros(21)
GAUSS_Q[1::2] = np.polynomial.legendre.leggauss(10)[1]

# The density's last normal number: beyond it nothing that float64 holds can add to an integral.
REACH = 37.5
# Panels at the start, in units of z; the tails' are wide because nothing is there, unless phi grows like exp(z^2 / 4).
_START = (0.0, 1.0, 2.0, 3.5, 5.5, 8.5, 14.0, 22.0, REACH)
# And in units of h = sqrt(q) z: the catalogue's functions bend within a few units of 0.
_BENDS = (1.0, 3.0, 8.0)
# A panel is settled when its error is below this part of the integral of |f|; fifty roundings are the least that can be asked.
TOLERANCE = 50 * float(np.finfo(np.float64).eps)
# Halvings after which a panel is narrower than the spacing of float64 at z = 1: nothing is left to split.
_ROUNDS = 52
# Panels of one integral at a time after which it is taken as it is, its error stated: noise in f would be halved without end. A sine of 500 periods has fewer.
_PANELS = 1000


def density(z: Array) -> Array:
    """exp(-z^2 / 2) / sqrt(2 pi)."""
    density: Array = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return density


def panel_edges(scales_P: Array, points_PE: Array) -> Array:
    """Edges [P, E], ascending, between which each integrand is taken for smooth.

    Args:
        scales_P: dh/dz of each integral (sqrt(q)); 0 where the integrand doesn't depend on z.
        points_PE: further points in units of z, the kinks; those out of reach are moved to the ends, where their panels are empty.
    """
    symmetric = np.array([-z for z in reversed(_START)] + list(_START[1:]))
    with np.errstate(divide="ignore"):
        bends = np.outer(np.minimum(1 / scales_P, 2 * REACH), np.array([-h for h in _BENDS] + list(_BENDS)))
    edges = np.concatenate([np.broadcast_to(symmetric, (len(scales_P), len(symmetric))), bends, points_PE], axis=1)
    ascending: Array = np.sort(np.clip(edges, -REACH, REACH), axis=1)
    return ascending


def integrate(
    f: Callable[[Array, Owners], Array], edges_PE: Array, tolerance: float = TOLERANCE, least_size: float = 0.0, *, share: bool = False
) -> tuple[Array, Array, Array]:
    """The P integrals of f between the outer edges.

    Args:
        f: gets nodes z [K, Q] and the integral [K] to which each row belongs; the density is the caller's to put in.
        edges_PE: first panels, ascending; empty ones are dropped.
        tolerance: largest error of a panel, relative to the integral of |f|, or to
        least_size: where that is larger.
        share: the integrals are to be added, so that the largest of them sets the scale for all.

    Returns:
        Values [P], errors [P] (QUADPACK's estimate of the truncation, and the roundings) and the integrals of |f| [P].
    """
    count = len(edges_PE)
    values_P, errors_P, sizes_P = np.zeros(count), np.zeros(count), np.zeros(count)
    owner_K = np.repeat(np.arange(count), edges_PE.shape[1] - 1)
    low_K, high_K = edges_PE[:, :-1].ravel(), edges_PE[:, 1:].ravel()
    filled = high_K > low_K
    owner_K, low_K, high_K = owner_K[filled], low_K[filled], high_K[filled]
    for rounds_left in reversed(range(_ROUNDS)):
        centre_K, half_K = (low_K + high_K) / 2, (high_K - low_K) / 2
        y_KQ = f(centre_K[:, None] + half_K[:, None] * NODES_Q, owner_K)
        value_K = half_K * (y_KQ @ KRONROD_Q)
        size_K = half_K * (np.abs(y_KQ) @ KRONROD_Q)
        error_K = _truncation(y_KQ, value_K, half_K)
        so_far_P = sizes_P + np.bincount(owner_K, size_K, count)
        allowed_K = tolerance * np.maximum(least_size, so_far_P.max() if share else so_far_P[owner_K])
        settled = (error_K <= allowed_K) | (np.bincount(owner_K, minlength=count)[owner_K] > _PANELS) | (rounds_left == 0)
        values_P += np.bincount(owner_K[settled], value_K[settled], count)
        errors_P += np.bincount(owner_K[settled], error_K[settled], count)
        sizes_P += np.bincount(owner_K[settled], size_K[settled], count)
        if settled.all():
            break
        owner_K, low_K, centre_K, high_K = owner_K[~settled], low_K[~settled], centre_K[~settled], high_K[~settled]
        owner_K, low_K, high_K = np.tile(owner_K, 2), np.concatenate([low_K, centre_K]), np.concatenate([centre_K, high_K])
    # f has a few roundings at each node, the density's argument up to z^2 / 2 of them; sixteen cover where the mass is (|z| < 5).
    return values_P, errors_P + 16 * np.finfo(np.float64).eps * sizes_P, sizes_P


def _truncation(y_KQ: Array, value_K: Array, half_K: Array) -> Array:
    """QUADPACK's estimate: spread * min(1, (200 |Kronrod - Gauss| / spread)^(3/2)), spread the integral of |f - mean f|."""
    difference_K = np.abs(value_K - half_K * (y_KQ @ GAUSS_Q))
    spread_K = half_K * (np.abs(y_KQ - (value_K / (2 * half_K))[:, None]) @ KRONROD_Q)
    ratio_K = np.divide(200 * difference_K, spread_K, out=np.zeros_like(spread_K), where=spread_K > 0)
    estimate: Array = spread_K * np.minimum(1.0, ratio_K**1.5)
    return estimate
