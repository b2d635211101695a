"""Tables that are functions of the chains and of nothing else.

`PROJECTIONS` declares them. Rows of the ledger reach them by `apply_rows` (live, in the transaction
that appends) or `apply` (from the journal, in batches); `prepare` and `write` are the two halves of
`apply`, for those who read on while a batch is written.
"""

from wayfare_engine.projections.blobs import BlobRow, register_applier, register_eraser
from wayfare_engine.projections.declared import PROJECTIONS, Projection
from wayfare_engine.projections.prepared import Prepared
from wayfare_engine.projections.preparing import add_rows, add_table, finish, prepare
from wayfare_engine.projections.problems import NoApplier, RowDamaged
from wayfare_engine.projections.writing import Applied, apply, apply_rows, apply_rows_async, write

__all__ = [
    "PROJECTIONS",
    "Applied",
    "BlobRow",
    "NoApplier",
    "Prepared",
    "Projection",
    "RowDamaged",
    "add_rows",
    "add_table",
    "apply",
    "apply_rows",
    "apply_rows_async",
    "finish",
    "prepare",
    "register_applier",
    "register_eraser",
    "write",
]
