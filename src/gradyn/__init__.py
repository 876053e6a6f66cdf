"""gradyn: an experiment harness for gradient dynamics in deep networks.

gradyn.plan(["depth=2,4", "activation=tanh"])   the runs of a command, as specs
gradyn.materialize(spec)                         one of them as an ordinary torch module, its batches and its loss
gradyn.load("results/quick")                     what a sweep wrote, as pandas frames
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradyn.store import Results
    from gradyn.sweep import Materialized, RunSpec

__all__ = ["load", "materialize", "plan"]


# Imported when called: `import gradyn`, and with it Hydra's plugin discovery and tab completion, must not wait for torch.
def plan(overrides: Sequence[str]) -> tuple[RunSpec, ...]:
    """The runs that `gradyn sweep <overrides>` would do.

    Args:
        overrides: Hydra's grammar (`depth=2,4,8`, `experiment=quick`, `seed=range(3)`).

    Raises:
        ConfigError: a key, option or value is refused; one line says which, why, and what to do.
    """
    from hydra_plugins.gradyn.compose import plan as compose_plan

    return compose_plan(overrides).specs


def materialize(spec: RunSpec) -> Materialized:
    """(module, batches, loss_fn): the run as an `nn.Module` at step 0, an iterator of its (x, y), a function of (output, y)."""
    from gradyn.sweep import materialize as materialize_spec

    return materialize_spec(spec)


def load(folder: str | Path) -> Results:
    """What a sweep wrote, with `.runs`, `.steps` and `.layers` as pandas frames.

    Raises:
        ConfigError: the folder is not there, or holds no sweep that this version can read.
    """
    from gradyn.store import load as load_folder

    return load_folder(Path(folder))
