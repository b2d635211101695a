"""Customers out of thin air, with the published marginals of a real bank's.

`marginals.json` holds how often each value occurs in the UCI Bank Marketing data (S. Moro,
P. Cortez, P. Rita, 2014; CC BY 4.0), and quantiles where values are many; no row of the data. At
the data's own size every counted column is met exactly. Columns are independent of each other,
except that pdays, previous and poutcome tell one story: who was never contacted has none.

    python -m demo.customers --rows 45211 --seed 1 --output build/customers.csv
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

COLUMNS = (
    *("age", "job", "marital", "education", "default", "balance", "housing", "loan", "contact"),
    *("day", "month", "duration", "campaign", "pdays", "previous", "poutcome", "y"),
)
NUMBERS = frozenset({"age", "balance", "day", "duration", "campaign", "pdays", "previous"})
_HISTORY = ("pdays", "previous", "poutcome")
_NEVER = {"pdays": "-1", "previous": "0", "poutcome": "unknown"}


def marginals() -> dict[str, Any]:
    """The table: rows, never_contacted, counts by column and value, quantiles by column."""
    loaded: dict[str, Any] = json.loads(
        Path(__file__).with_name("marginals.json").read_text(encoding="utf-8")
    )
    return loaded


def apportion(counts: Mapping[str, int], rows: int) -> list[str]:
    """`rows` values in the proportions of `counts`, by largest remainders; sorted by value's place.

    Exact when `rows` is the sum of the counts.
    """
    total = sum(counts.values())
    shares = {value: count * rows / total for value, count in counts.items()}
    whole = {value: int(share) for value, share in shares.items()}
    by_remainder = sorted(counts, key=lambda value: whole[value] - shares[value])
    for value in by_remainder[: rows - sum(whole.values())]:
        whole[value] += 1
    return [value for value, count in whole.items() for _ in range(count)]


def spread(quantiles: Sequence[int], rows: int) -> list[str]:
    """`rows` numbers whose quantiles are these, evenly spaced in probability."""
    steps = len(quantiles) - 1
    values = []
    for row in range(rows):
        place = (row + 0.5) / rows * steps
        low = min(int(place), steps - 1)
        value = quantiles[low] + (quantiles[low + 1] - quantiles[low]) * (place - low)
        values.append(str(round(value)))
    return values


def generate(rows: int, seed: int) -> Iterator[tuple[str, ...]]:
    """Customers as text, in the order of COLUMNS. The same arguments give the same customers."""
    if rows < 1:
        raise ValueError("at least one row")
    table = marginals()
    counts: dict[str, dict[str, int]] = table["counts"]
    quantiles: dict[str, list[int]] = table["quantiles"]
    order = random.Random(seed)  # noqa: S311 - not for secrets

    contacted = rows - round(rows * table["never_contacted"] / table["rows"])
    columns: dict[str, list[str]] = {}
    for name in COLUMNS:
        size = contacted if name in _HISTORY else rows
        if name in quantiles:
            values = spread(quantiles[name], size)
        else:
            known = dict(counts[name])
            if name in _HISTORY:
                known[_NEVER[name]] -= table["never_contacted"]
            values = apportion(known, size)
        order.shuffle(values)
        columns[name] = values
    who = list(range(rows))
    order.shuffle(who)
    for name in _HISTORY:
        of_all = [_NEVER[name]] * rows
        for row, value in zip(who, columns[name], strict=False):
            of_all[row] = value
        columns[name] = of_all
    return zip(*(columns[name] for name in COLUMNS), strict=True)


def write(path: Path, rows: int = 45_211, seed: int = 1) -> None:
    """Write them into a file, whole or not at all; its folder must exist."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="") as output:
        write_to(output, rows, seed)
    part.replace(path)


def write_to(output: TextIO, rows: int, seed: int) -> None:
    """Write them as the data is published: `;` between columns, text quoted, numbers bare."""
    output.write(";".join(f'"{name}"' for name in COLUMNS) + "\n")
    bare = [name in NUMBERS for name in COLUMNS]
    for row in generate(rows, seed):
        output.write(
            ";".join(
                value if number else f'"{value}"' for value, number in zip(row, bare, strict=True)
            )
            + "\n"
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Customers with a real bank's marginals.")
    parser.add_argument("--rows", type=int, default=45_211)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="a file; absent means standard output")
    arguments = parser.parse_args()
    if arguments.rows < 1:
        parser.error("--rows must be at least 1")
    if arguments.output is None:
        write_to(sys.stdout, arguments.rows, arguments.seed)
        return
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write(arguments.output, arguments.rows, arguments.seed)


if __name__ == "__main__":
    main()
