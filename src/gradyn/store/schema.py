"""The columns of the three tables, as `Column` objects and as one Arrow schema a table.

Every file of a table has the same schema: the union over the catalogue of components, null where a column does not apply.
pandas and pyarrow silently drop a column that the first file of a folder lacks.
"""

from __future__ import annotations

import types
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from gradyn.core import AbstractComponent, Column, groups, options

# What a column stores; the type checker holds it to `Column.kind`.
Kind = Literal["float64", "int64", "string", "bool"]

# Raised when a stored column changes its meaning, unit or type; a new column does not raise it (readers give null for it).
SCHEMA_VERSION = 1

# In the order in which a shard's files are committed: a run is done when its row is in `runs`, so that one is last.
Table = Literal["layers", "steps", "runs"]
TABLES: tuple[Table, ...] = get_args(Table)

KEYS: dict[Table, tuple[str, ...]] = {"layers": ("run_id", "step", "layer"), "steps": ("run_id", "step"), "runs": ("run_id",)}

KEY_COLUMNS = (
    Column("run_id", "", "identity of the run: first 16 hex digits of sha256 of its full resolved settings", "run", kind="string"),
    Column("step", "steps", "updates made before this measurement; 0 is the initialization", "step", "step", kind="int64"),
    Column("layer", "layers", "1 ... depth from input to readout, counting weight matrices", "layer", "layer", kind="int64"),
)

SPEC_COLUMNS = (
    Column("depth", "layers", "number of weight matrices, readout included", "run", "depth", kind="int64"),
    Column("width", "units", "units of every hidden layer", "run", "width", kind="int64"),
    Column("batch_size", "samples", "samples of every batch", "run", "batch size", kind="int64"),
    Column("steps", "steps", "updates of the run; 0 measures at initialization only", "run", "steps", kind="int64"),
    Column("learning_rate", "weight^2 / loss", "factor of the update; the unit is that of plain gradient descent", "run", "learning rate"),
    Column("seed", "", "makes initialization, batch order and dropout", "run", "seed", kind="int64"),
    Column("dtype", "", "float32, float64, or (emulated) float16, bfloat16: in what the net is computed", "run", kind="string"),
    Column("loss_scale", "", "power of two by which the loss is multiplied before the backward pass; no stored gradient is", "run", "loss scale"),
    Column(
        "backward",
        "",
        "tracked: cotangents with an exponent of their own; plain: as a user's framework computes them; flushed: plain, with subnormal numbers set to 0",
        "run",
        kind="string",
    ),
)

RESULT_COLUMNS = (
    Column("status", "", "ok, diverged, overflow, underflow or saturated", "run", kind="string"),
    Column("first_bad_step", "steps", "first step at which the run was not ok; null where it was", "run", "first bad step", kind="int64"),
    Column("first_bad_layer", "layers", "layer at which that was seen first; null where the run was ok or no layer is to blame", "run", kind="int64"),
    Column(
        "final_loss",
        "loss",
        "mean over the training part's whole batches after the last update, without the penalty; null at initialization only",
        "run",
        "final loss",
    ),
    Column("final_accuracy", "share", "right answers over those samples; null without labels", "run", "final accuracy"),
    Column("test_accuracy", "share", "right answers over the held-out part's whole batches after the last update; null without labels", "run", "test accuracy"),
    Column("wall_s", "s", "wall time of the run's stack over the runs in it", "run", "wall time"),
    Column("cpu_s", "s", "processor time of the run's stack over the runs in it, of one core; an accelerator's isn't in it", "run", "processor time"),
)

PROVENANCE_COLUMNS = (
    Column("device", "", "torch device the run was computed on", "run", kind="string"),
    Column("engine", "", "program that computed it", "run", kind="string"),
    Column("commit", "", "git commit of the checkout the package ran from; null where it ran from an installed package", "run", kind="string"),
    Column("dirty", "", "whether that checkout had uncommitted changes", "run", kind="bool"),
    Column("versions", "", "of gradyn, Python and the packages that numbers depend on", "run", kind="string"),
    Column("hardware", "", "processor or accelerator", "run", kind="string"),
    Column("date", "", "when the shard was opened, UTC, ISO 8601", "run", kind="string"),
)

# What a run reports beside its settings; the settings' columns come from the catalogue (`setting_columns`).
RUN_COLUMNS = RESULT_COLUMNS + PROVENANCE_COLUMNS

_ARROW: dict[Kind, pa.DataType] = {"float64": pa.float64(), "int64": pa.int64(), "string": pa.string(), "bool": pa.bool_()}
# Kept by class: of the whole catalogue they cost a shard's commit 40 ms.
_HINTS: dict[type, dict[str, Any]] = {}
_KIND: dict[type, Kind] = {float: "float64", int: "int64", str: "string", bool: "bool"}


def columns(table: Table) -> tuple[Column, ...]:
    """Every column of a table, keys first, in the order in which the files hold them."""
    # Not at the top: the probes and the catalogue import torch, and who only reads Parquet need not wait for it.
    from gradyn.probes import LAYER_COLUMNS, STEP_COLUMNS, probe_columns

    keys = tuple(column for column in KEY_COLUMNS if column.name in KEYS[table])
    rest = {"layers": LAYER_COLUMNS + probe_columns(), "steps": STEP_COLUMNS, "runs": ()}[table] or SPEC_COLUMNS + setting_columns() + RUN_COLUMNS
    return keys + tuple(column for column in rest if column.name not in KEYS[table])


def setting_columns() -> tuple[Column, ...]:
    """Columns of the components: `init` (the option's name), then `init.sigma_w` and so on, over all options of the group.

    Raises:
        TypeError: two options of a group give one field types that no column can hold together.
    """
    import gradyn.data
    import gradyn.nn
    import gradyn.optim  # noqa: F401  (the three imports load the catalogue that `groups()` lists)

    found: list[Column] = []
    for group, base in groups().items():
        found.append(Column(group, "", f"option of the group: {', '.join(options(base))}", "run", kind="string"))
        users: dict[str, list[str]] = {}
        kinds: dict[str, Kind] = {}
        for name, option in options(base).items():
            for field, kind in field_kinds(option).items():
                kinds[field] = _joined(f"{group}.{field}", kinds.get(field, kind), kind)
                users.setdefault(field, []).append(name)
        found += [Column(f"{group}.{field}", "", f"setting of {', '.join(users[field])}", "run", kind=kind) for field, kind in kinds.items()]
    return tuple(found)


def field_kinds(component: type[AbstractComponent]) -> dict[str, Kind]:
    """The stored type of each field of a component, from its annotation; `X | None` is X with nulls, a Literal its values' type.

    Raises:
        TypeError: an annotation that no column can hold.
    """
    if component not in _HINTS:
        _HINTS[component] = get_type_hints(component)
    hints = _HINTS[component]
    return {field.name: _kind(f"{component.__name__}.{field.name}", hints[field.name]) for field in fields(component)}


def arrow_schema(table: Table) -> pa.Schema:
    """One schema for all files of the table; each field carries its unit and definition."""
    return pa.schema([pa.field(c.name, _ARROW[c.kind], metadata={"unit": c.unit, "definition": c.definition}) for c in columns(table)])


def _kind(where: str, hint: Any) -> Kind:
    if get_origin(hint) in (Union, types.UnionType):
        kinds = [_kind(where, part) for part in get_args(hint) if part is not type(None)]
    elif get_origin(hint) is Literal:
        kinds = [_kind(where, type(value)) for value in get_args(hint) if value is not None]
    else:
        if hint not in _KIND:
            raise TypeError(f"{where} must be annotated with float, int, str, bool, a Literal or a union of them; got {hint!r}.")
        return _KIND[hint]
    joined = kinds[0]
    for kind in kinds[1:]:
        joined = _joined(where, joined, kind)
    return joined


def _joined(where: str, first: Kind, second: Kind) -> Kind:
    # Whole numbers fit a float column (exactly, below 2^53); nothing else mixes.
    if first == second:
        return first
    if {first, second} == {"float64", "int64"}:
        return "float64"
    raise TypeError(f"{where} must have one stored type in all options; got {first} and {second}.")
