"""How long a curve of inputs becomes in every layer.

Axes: S rows of the data, N units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from gradyn.core import Column, l2
from gradyn.probes.curves import places, require_curve
from gradyn.probes.probe import AbstractRunProbe, Moment, Row

_NAMES = ("log10_curve_length", "log10_curve_growth")


@dataclass(frozen=True, slots=True)
class CurveLength(AbstractRunProbe):
    """The length of the polyline through h_l of the rows in order, closed where the data is (circle), open where not (arc, line).

    Over the root of the units, so that layers of other widths compare: between wide layers at the fixed point of the length map it grows by
    sqrt(chi_1), as long as neighbours stay so close that the net is linear between them. It needs the whole data set in one batch, and float64 where
    neighbours differ by less than some 1e-4 of their size.

    Source: Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli 2016, arXiv:1606.05340, section 3 (their length is not divided by the root of units); Raghu,
        Poole, Kleinberg, Ganguli and Sohl-Dickstein 2017, arXiv:1606.05336.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            _NAMES[0],
            "log10 of [preactivation]",
            "log10 of the sum over neighbouring rows of ||h_l - h_l'|| / sqrt(units), the last and the first being neighbours on a closed curve",
            "layer",
            r"$\log_{10}$ curve length of $h_l$",
            "arXiv:1606.05340, section 3",
        ),
        Column(
            _NAMES[1],
            "decades per layer",
            "log10_curve_length of layer l minus that of layer l - 1; null in layer 1",
            "layer",
            "growth of the curve length [decades]",
            "arXiv:1606.05336",
        ),
    )

    def check(self, spec: Any) -> None:
        require_curve(self, spec)

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        order_S = places(moment, run)
        lengths = [_log10_length(done.h[run].double()[order_S], moment.data.is_closed) for done in moment.passes]
        growth = [after - before for before, after in pairwise(lengths)]
        return dict(zip(_NAMES, (list(lengths), [None, *growth]), strict=True))


def _log10_length(h_SN: Tensor, is_closed: bool) -> float:
    if is_closed:
        h_SN = torch.cat([h_SN, h_SN[:1]])
    length = float(l2(h_SN.diff(dim=0)).sum()) / math.sqrt(h_SN.shape[1])
    return math.log10(length) if length > 0 else math.nan if math.isnan(length) else -math.inf
