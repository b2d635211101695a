"""The bank's customers: the real file where its path is given, else the generator's."""

from __future__ import annotations

import os
from pathlib import Path

from demo.customers import write

ROOT = Path(__file__).resolve().parents[2]


def bank_csv() -> Path:
    """A CSV with the 17 columns of the UCI Bank Marketing data, `;`-separated.

    WAYFARE_BANK_CSV names the real file; without it, the generator's file under build/.
    """
    named = os.environ.get("WAYFARE_BANK_CSV")
    if named:
        return Path(named)
    made = ROOT / "build" / "customers.csv"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        write(made)
    return made
