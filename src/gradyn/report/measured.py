"""Experiments that are no sweep: their settings from the YAML twin, their tables as Parquet, measured again only when something changed.

settings = twin("autodiff_graph").settings("smoke")
measured(experiment.measure, folder, settings)
kept(folder).tables["chain"]
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml  # type: ignore[import-untyped]

import gradyn.autodiff
from gradyn.core import ConfigError, packaged, require
from gradyn.store import commit, provenance, temporary_name
from gradyn.sweep import ENGINE_VERSION

Measure = Callable[[Mapping[str, Any]], dict[str, pd.DataFrame]]
SCALES = ("full", "smoke")
# Below the folder of an experiment; and the key of the JSON text in a table's metadata.
_FOLDER, _METADATA = "measured", b"gradyn"
# The key of the twin, and the group of its settings on the command line.
_MEASURE = "measure"
# Fresh seeds begin at this times their number: further apart than any experiment has seeds.
_FRESH = 10_000


@dataclass(frozen=True)
class Twin:
    """What the YAML twin of a script says.

    Args:
        name: of the experiment.
        params: axes of its first grid, key -> text as on the command line; empty where nothing is swept.
        further: overrides of each further grid, which goes into the same folder.
        measure: every number that the measurement depends on; empty where nothing but a sweep is measured.
        smoke: what the small scale replaces: key -> text as on the command line, and under `measure` the settings.
        steps: of its runs, where the twin says them.
    """

    name: str
    params: Mapping[str, Any]
    further: Sequence[Sequence[str]]
    measure: Mapping[str, Any]
    smoke: Mapping[str, Any]
    steps: int | None = None

    @property
    def is_of_initialization(self) -> bool:
        """Whether it sweeps nets that take no step, and trains none beside."""
        is_stepped = "steps" in {*self.params, *self.measure} or any(line.startswith("steps=") for grid in self.further for line in grid)
        return self.has_grid and self.steps == 0 and not is_stepped

    @property
    def has_grid(self) -> bool:
        """Whether it sweeps."""
        return bool(self.params)

    def grids(self, scale: str, given: Sequence[str] = (), fresh: int = 0) -> list[list[str]]:
        """Overrides of each sweep: the twin's, replaced by the scale's, by fresh seeds, and by those given for the same key.

        Args:
            scale: full or smoke.
            given: on the command line; `measure.x=...` is none of them.
            fresh: which other seeds; 0 for those of the twin.

        Raises:
            ConfigError: an override was given, and there is no sweep.
        """
        asked = self._asked(scale, given)
        grids: list[list[str]] = []
        for own in [[], *self.further] if self.has_grid else []:
            chosen = {"seed": f"seed={self.params['seed']}"} if "seed" in self.params else {}
            chosen |= {line.partition("=")[0]: line for line in own}
            chosen |= {line.partition("=")[0]: line for line in asked}
            if fresh and "seed" not in {line.partition("=")[0] for line in given}:
                chosen["seed"] = f"seed={_other_seeds(chosen.get('seed', 'seed=0').removeprefix('seed='), fresh)}"
            # Grids that differ in nothing but what the scale replaces are one, in whatever order they say it.
            if not any(set(chosen.values()) == set(grid) for grid in grids):
                grids.append(list(chosen.values()))
        return grids

    def _asked(self, scale: str, given: Sequence[str]) -> list[str]:
        """Overrides of every sweep: those of the scale, replaced by those given for the same key."""
        # The small scale fits one process: starting workers would take longer than its runs.
        chosen = {"exec.workers": "exec.workers=1"} if scale == "smoke" and self.has_grid else {}
        chosen |= {str(key): f"{key}={value}" for key, value in self.smoke.items() if key != _MEASURE} if scale == "smoke" else {}
        for line in given:
            if not line.startswith(f"{_MEASURE}."):
                require(
                    self.has_grid,
                    line.partition("=")[0],
                    "be a setting of the measurement",
                    line,
                    f"{self.name} sweeps nothing: write {_MEASURE}.<key>=<value>.",
                )
                chosen[line.partition("=")[0]] = line
        return list(chosen.values())

    def settings(self, scale: str, given: Sequence[str] = (), fresh: int = 0) -> dict[str, Any]:
        """The settings of the measurement at a scale, with other seeds where asked, and `measure.x=...` among the given overrides on top.

        Raises:
            ConfigError: a setting that the twin does not have.
        """
        found = deepcopy(dict(self.measure))
        changes = dict(self.smoke.get(_MEASURE, {})) if scale == "smoke" else {}
        if fresh and "seed" in found:
            changes["seed"] = changes.get("seed", found["seed"]) + _FRESH * fresh
        for line in given:
            key, _, text = line.partition("=")
            if key.startswith(f"{_MEASURE}."):
                changes[key.removeprefix(f"{_MEASURE}.")] = yaml.safe_load(text)
        for key, value in changes.items():
            near = get_close_matches(key, found, n=1)
            fix = f"Did you mean {_MEASURE}.{near[0]}?" if near else ""
            require(key in found, f"{_MEASURE}.{key}", f"be a setting of {self.name} ({', '.join(found) or 'it has none'})", value, fix)
            found[key] = value
        return found


def twin(name: str) -> Twin:
    """The YAML twin of an experiment.

    Raises:
        ConfigError: there is none, or `measure` or `smoke` in it is no mapping.
    """
    path = packaged("configs") / "experiment" / f"{name}.yaml"
    require(path.is_file(), "experiment", "have a YAML twin", name, f"Write configs/experiment/{name}.yaml.")
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in (_MEASURE, "smoke"):
        require(isinstance(said.get(key, {}), dict), f"{key} in {path.name}", "be settings by key", said.get(key))
    further = said.get("further", [])
    is_grids = isinstance(further, list) and all(isinstance(grid, list) for grid in further)
    require(is_grids, f"further in {path.name}", "be a list of grids, each a list of overrides", further)
    params = said.get("hydra", {}).get("sweeper", {}).get("params") or {}
    return Twin(name, params, further, said.get(_MEASURE, {}), said.get("smoke", {}), said.get("steps"))


def _other_seeds(text: str, fresh: int) -> str:
    """`range(40)` -> `range(10000, 10040)`: as many seeds, none of which the twin has."""
    match = re.fullmatch(r"range\((?:(\d+),\s*)?(\d+)\)", text)
    if match:
        return f"range({int(match[1] or 0) + _FRESH * fresh},{int(match[2]) + _FRESH * fresh})"
    require(re.fullmatch(r"\d+(,\s*\d+)*", text) is not None, "seed", "be range(n), range(a, b) or whole numbers, where fresh seeds are asked for", text)
    return ",".join(str(int(seed) + _FRESH * fresh) for seed in text.split(","))


def is_measured_only(name: str) -> bool:
    """Whether an experiment of that name is there which measures and sweeps nothing."""
    if not (packaged("configs") / "experiment" / f"{name}.yaml").is_file():
        return False
    said = twin(name)
    return bool(said.measure) and not said.has_grid


@dataclass(frozen=True)
class Kept:
    """What the last measurement left in a folder.

    Args:
        tables: by name.
        settings: that it was made with.
        made: its provenance: commit, versions, hardware, date; and its seconds.
        key: hash of settings and sources.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""


def kept(folder: str | Path) -> Kept:
    """The tables of the last measurement; none where there was none.

    Raises:
        ConfigError: a table is cut off, missing, or of another measurement than the rest (one that was killed half way).
    """
    tables, about = {}, {}
    fix = "Measure again: the same command with --run."
    for path in sorted((Path(folder) / _FOLDER).glob("*.parquet")):
        try:
            found = pq.read_table(path)
            about[path.stem] = json.loads((found.schema.metadata or {})[_METADATA])
        except (pa.ArrowInvalid, KeyError) as error:
            raise ConfigError(str(path), "be a whole table that gradyn wrote", type(error).__name__, fix) from error
        tables[path.stem] = found.to_pandas()
    if not tables:
        return Kept()
    first = next(iter(about.values()))
    keys = {one["key"] for one in about.values()}
    require(len(keys) == 1 and set(first["tables"]) == set(tables), str(Path(folder) / _FOLDER), "hold the tables of one measurement", ", ".join(tables), fix)
    return Kept(tables, first["settings"], first["made"], first["key"])


def measure_once(measure: Measure, folder: str | Path, settings: Mapping[str, Any]) -> bool:
    """Measure, and keep the tables, unless the folder has them from the same settings and sources.

    Args:
        measure: from settings to tables by name; called at most once.
        folder: `results/<name>`, made where it is missing.
        settings: what it is called with.

    Returns:
        Whether it was measured now.

    Raises:
        ConfigError: it returned no tables, or one whose name is no file's.
        OSError: the disk refused; tables that were there are whole.
    """
    folder = Path(folder)
    key = _key(measure, settings)
    try:
        if kept(folder).key == key:
            return False
    except ConfigError:
        # Half a measurement: made anew right here.
        pass
    began = time.process_time()
    tables = measure(deepcopy(dict(settings)))
    seconds = time.process_time() - began
    require(bool(tables), measure.__name__, "return tables by name", tables)
    for name in tables:
        require(re.fullmatch(r"\w+", name) is not None, "the name of a table", "be letters, digits and underscores", name)
    about = {"key": key, "tables": sorted(tables), "settings": dict(settings), "made": {**provenance(), "seconds": round(seconds, 3)}}
    (folder / _FOLDER).mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        _write(folder / _FOLDER / f"{name}.parquet", table, about)
    for path in (folder / _FOLDER).glob("*.parquet"):
        if path.stem not in tables:
            path.unlink()
    return True


def _key(measure: Measure, settings: Mapping[str, Any]) -> str:
    """Hash of all that the numbers depend on: settings, the script, gradyn.autodiff, and the harness by its version."""
    script = inspect.getsourcefile(measure)
    sources = [Path(script)] if script else []
    sources += sorted(path for place in gradyn.autodiff.__path__ for path in Path(place).rglob("*.py"))
    found = hashlib.sha256(json.dumps([ENGINE_VERSION, settings], sort_keys=True).encode())
    for path in sources:
        found.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def _write(path: Path, table: pd.DataFrame, about: Mapping[str, Any]) -> None:
    # Whole or not there, and hidden from every reader's pattern until then.
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _METADATA: json.dumps(about).encode()})
    temporary = temporary_name(path)
    try:
        pq.write_table(arrow, temporary, compression="zstd")
        commit(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
