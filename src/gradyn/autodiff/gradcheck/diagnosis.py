"""What `explain_gradcheck` finds: a verdict, the worst element, its error over steps, and the likely cause in words.

Can't: be short and complete. The block names one element and one cause; `error_over_steps` and `evidence` hold the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

NO_FAULT = "no fault found"
CAUSES = (
    "float32 input",
    "kink within the step",
    "wrong factor",
    "missing transpose",
    "missing accumulation",
    "non-contiguous input",
    "surrogate",
    "detached",
    "unknown",
)


@dataclass(frozen=True, slots=True)
class Element:
    """One number of a Jacobian, d output[row] / d input[column].

    Args:
        output: which output.
        row: index in it.
        input: which argument of f.
        column: index in it.
        analytic: what backward says.
        numeric: what differences say.
    """

    output: int
    row: tuple[int, ...]
    input: int
    column: tuple[int, ...]
    analytic: float
    numeric: float

    @property
    def relative_error(self) -> float:
        """|analytic - numeric| over the larger of the two; 0 where both are 0."""
        size = max(abs(self.analytic), abs(self.numeric))
        return abs(self.analytic - self.numeric) / size if size else 0.0

    def __str__(self) -> str:
        place = f"d output{_index(self.output, self.row)} / d input{_index(self.input, self.column)}"
        return f"{place}: analytic {self.analytic:.6g}, numeric {self.numeric:.6g}"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Whether a backward is right, and if not, why.

    Args:
        cause: one of CAUSES, or NO_FAULT.
        detail: a sentence: the factor, the path, the tensor.
        worst: the element with the largest error; None where there was no Jacobian to compare.
        error_over_steps: (step, relative error of the worst element), from large steps to small ones.
        factor: by which backward is off, where one number says it all.
        evidence: what was tried on the way, in order.
    """

    cause: str
    detail: str = ""
    worst: Element | None = None
    error_over_steps: tuple[tuple[float, float], ...] = ()
    factor: float | None = None
    evidence: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """No fault was found."""
        return self.cause == NO_FAULT

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        lines = [f"{self.cause}{': ' if self.detail else ''}{self.detail}"]
        if self.worst is not None:
            lines += [f"  worst element  {self.worst}", f"  relative error {self.worst.relative_error:.1e}"]
        if self.error_over_steps:
            steps, errors = zip(*self.error_over_steps, strict=True)
            lines += ["  at step        " + " ".join(f"{h:7.0e}" for h in steps), "  error          " + " ".join(f"{e:7.0e}" for e in errors)]
        return "\n".join([*lines, *(f"  - {line}" for line in self.evidence)])


def _index(which: int, index: tuple[int, ...]) -> str:
    return f" {which}" + (f"[{', '.join(map(str, index))}]" if index else "")
