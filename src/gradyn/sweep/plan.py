"""Plan: the runs of one command, where their numbers go, what is logged, and how they are to be computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from gradyn.core import ConfigError, require
from gradyn.probes import AbstractProbe
from gradyn.sweep.spec import RunSpec

ALL = "all"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The steps at which a table gets rows: `steps` sorted, or None for every step."""

    steps: tuple[int, ...] | None

    @classmethod
    def of(cls, key: str, value: Any) -> Schedule:
        """From `all` or a list of whole numbers >= 0, in any order.

        Raises:
            ConfigError: it is neither.
        """
        if value == ALL:
            return cls(None)
        is_list = isinstance(value, (list, tuple)) and all(type(step) is int and step >= 0 for step in value)
        require(is_list and len(value) > 0, key, f"be {ALL} or a list of steps >= 0", value, f"For example '{key}=[0,1,10]'.")
        return cls(tuple(sorted(set(value))))

    def includes(self, step: int) -> bool:
        """Whether `step` is logged."""
        return self.steps is None or step in self.steps

    @property
    def setting(self) -> str | list[int]:
        """As in the config."""
        return ALL if self.steps is None else list(self.steps)


@dataclass(frozen=True, slots=True)
class Log:
    """What a folder keeps of each run: one such specification per folder.

    Args:
        layers: steps at which every layer is measured.
        steps: steps at which loss, accuracy and total norm are kept.
        probes: what is measured of the layers besides.
        spectral: whether the weights' largest singular values are kept (`weight_spectral`), at the first measured step.

    Raises:
        ConfigError: `spectral` is not a boolean.
    """

    layers: Schedule
    steps: Schedule
    probes: tuple[AbstractProbe, ...] = ()
    spectral: bool = True

    def __post_init__(self) -> None:
        require(isinstance(self.spectral, bool), "log.spectral", "be true or false", self.spectral)

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> Log:
        """From the config's `log` section, its probes as components.

        Raises:
            ConfigError: a schedule is neither `all` nor a list of steps, or a key is unknown.
        """
        _require_keys("log", section, [entry.name for entry in fields(cls)])
        schedules = {key: Schedule.of(f"log.{key}", section[key]) for key in ("layers", "steps")}
        return cls(**schedules, probes=tuple(section["probes"]), spectral=section["spectral"])

    @property
    def settings(self) -> dict[str, Any]:
        """As in the config; for the folder's metadata."""
        probes = {probe.name: probe.settings for probe in self.probes}
        schedules = {"layers": self.layers.setting, "steps": self.steps.setting}
        return schedules | ({"probes": probes} if probes else {}) | ({} if self.spectral else {"spectral": False})


@dataclass(frozen=True, slots=True)
class Execution:
    """How runs are computed; no number of a run depends on it.

    Args:
        device: a torch device.
        workers: processes, one thread each; None: one per core.
        pack_size: runs stacked in one tensor program at most; None: by memory and cores.
        retry_failed: run again what raised in an earlier command.
        figures: draw while the runs arrive and at the end.
    """

    device: str = "cpu"
    workers: int | None = None
    pack_size: int | None = None
    retry_failed: bool = False
    figures: bool = True

    def __post_init__(self) -> None:
        require(isinstance(self.device, str) and self.device != "", "device", "be the name of a torch device", self.device, "For example device=cpu.")
        for key in ("workers", "pack_size"):
            value = getattr(self, key)
            require(value is None or (type(value) is int and value >= 1), f"exec.{key}", "be a whole number >= 1, or null", value)
        for key in ("retry_failed", "figures"):
            require(isinstance(getattr(self, key), bool), f"exec.{key}", "be true or false", getattr(self, key))

    @classmethod
    def of(cls, device: Any, section: Mapping[str, Any]) -> Execution:
        """From the config's `device` and its `exec` section (whose `backward` belongs to the runs).

        Raises:
            ConfigError: a value breaks its rule, or a key is unknown.
        """
        known = [entry.name for entry in fields(cls) if entry.name != "device"]
        _require_keys("exec", section, [*known, "backward"])
        return cls(device=device, **{key: section[key] for key in known})


@dataclass(frozen=True, slots=True)
class Plan:
    """What one command runs.

    Args:
        specs: the runs, each once, in the order of the grid (the last axis fastest).
        name: of the sweep.
        folder: where its tables are.
        log: what is kept.
        execution: how it is computed.
        axes: swept key -> its values in order, as written in the plan's table.
        notes: what the plan line says besides: how the runs were composed, layers that stay plain, runs met twice.
        first: column -> values of the runs that the queue takes first (`depth`, `norm`, `init.sigma_w`, ...); empty: no such choice.
        config: text of the resolved config, for the folder.
        run_ids: of the specs, in their order; worked out where they are not given, once, since each costs 25 us and a start asks
            five times.

    Raises:
        ConfigError: a probe does not fit a run.
    """

    specs: tuple[RunSpec, ...]
    name: str
    folder: Path
    log: Log
    execution: Execution
    axes: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    first: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    config: str | None = None
    run_ids: tuple[str, ...] = field(default=(), repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.run_ids:
            object.__setattr__(self, "run_ids", tuple(spec.run_id for spec in self.specs))
        for probe in self.log.probes:
            for spec in self.specs:
                rule = f"be feedforward with probe={probe.name}, which looks at layers with matrices of their own"
                require(not spec.cell.is_recurrent, "cell", rule, spec.cell.name, f"Leave probe={probe.name} out.")
                probe.check(spec)

    def is_first(self, spec: RunSpec) -> bool:
        """Whether the run is among those whose figures come first; with nothing given, all are alike."""
        columns = spec.columns if self.first else {}
        return bool(self.first) and all(columns.get(key) in values for key, values in self.first.items())


def joined(plans: Sequence[Plan]) -> list[Plan]:
    """As few plans as do the same: grids of one folder, log and execution are one, so that no core waits for the last runs of each.

    Every run is there once. What was said of a single grid (axes, notes) is gone; `config.yaml` is that of the last one, as if they were launched one
    after the other.
    """
    alike: list[list[Plan]] = []
    for plan in plans:
        part = next((part for part in alike if all(getattr(part[0], key) == getattr(plan, key) for key in ("folder", "log", "execution"))), [])
        if not part:
            alike.append(part)
        part.append(plan)
    return [_of_all(part) for part in alike]


def _of_all(plans: Sequence[Plan]) -> Plan:
    specs = dict(zip((run_id for plan in plans for run_id in plan.run_ids), (spec for plan in plans for spec in plan.specs), strict=True))
    return replace(plans[-1], specs=tuple(specs.values()), run_ids=tuple(specs), axes={}, notes=())


def _require_keys(section: str, given: Mapping[str, Any], known: list[str]) -> None:
    listed = ", ".join(f"{section}.{name}" for name in known)
    require(isinstance(given, Mapping), section, f"be a section of {listed}", given, f"Set one of its keys: {section}.{known[0]}=<value>.")
    for key in given:
        require(key in known, f"{section}.{key}", f"be one of {listed}", given[key])
    for key in known:
        if key not in given:
            raise ConfigError(f"{section}.{key}", "be given", None, "The config lacks it.")
