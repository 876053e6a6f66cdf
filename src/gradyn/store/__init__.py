"""HOW IS IT KEPT?  A folder of Parquet files that is right after any crash, and reads back as three frames.

`results/<name>/`: `layers/`, `steps/`, `runs/` (one file a shard in each), `failures/`, `sweep.json`, `config.yaml`. The files are
the manifest: a run is done if and only if it is in `runs/`. A sweep, from its driver's side:

    open_folder(folder, log)
    with lock(folder):
        clean(folder)
        missing = [spec for spec in plan if spec.run_id not in done(folder)]
        ...workers: write_shard(folder, shard_id(ids), layers, steps, runs, provenance())
    load(folder).layers
"""

from gradyn.store.clean import clean
from gradyn.store.failures import failure, failures, write_failure
from gradyn.store.files import TEMPORARY, commit, create_text, temporary_name
from gradyn.store.flight import Flight, flight, tell
from gradyn.store.folder import check_folder, open_folder, stored_log
from gradyn.store.lock import lock
from gradyn.store.planned import planned, write_plan
from gradyn.store.provenance import provenance
from gradyn.store.read import Results, load
from gradyn.store.schema import KEY_COLUMNS, RUN_COLUMNS, SCHEMA_VERSION, SPEC_COLUMNS, TABLES, Table, arrow_schema, columns
from gradyn.store.shards import done
from gradyn.store.status import Status, duration, status
from gradyn.store.write import ShardWriter, StoreError, shard_id, write_shard

__all__ = [
    "KEY_COLUMNS",
    "RUN_COLUMNS",
    "SCHEMA_VERSION",
    "SPEC_COLUMNS",
    "TABLES",
    "TEMPORARY",
    "Flight",
    "Results",
    "ShardWriter",
    "Status",
    "StoreError",
    "Table",
    "arrow_schema",
    "check_folder",
    "clean",
    "columns",
    "commit",
    "create_text",
    "done",
    "duration",
    "failure",
    "failures",
    "flight",
    "load",
    "lock",
    "open_folder",
    "planned",
    "provenance",
    "shard_id",
    "status",
    "stored_log",
    "tell",
    "temporary_name",
    "write_failure",
    "write_plan",
    "write_shard",
]
