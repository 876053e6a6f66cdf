"""Which net a run has: its cell says."""

from __future__ import annotations

from gradyn.nn.architecture import NetSpec
from gradyn.nn.net import Net
from gradyn.nn.recurrent import RecurrentNet

AnyNet = Net | RecurrentNet


def net_of(spec: NetSpec, features: int, classes: int) -> AnyNet:
    """The structure of a run's net.

    Args:
        spec: the fields of a run that decide its net.
        features: inputs of a sample; of a recurrent net, of all steps together.
        classes: outputs.
    """
    return (RecurrentNet if spec.cell.is_recurrent else Net)(spec, features, classes)
