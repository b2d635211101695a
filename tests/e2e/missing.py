"""What a site's database says of sends that did not come: a failed test should tell it."""

from __future__ import annotations

from collections.abc import Collection

from demo.cluster import ENGINE, NAMESPACE, Cluster
from demo.steps import StepFailed

_MOST = 20
_ASK = """
import sys, psycopg
from wayfare_engine.settings import load_settings
with psycopg.connect(load_settings().direct_dsn) as connection:
    for row in connection.execute(
        "SELECT row_to_json(o) AS send, row_to_json(h) AS hold FROM wayfare.outbox o "
        "LEFT JOIN wayfare.send_holds h USING (send_key) WHERE send_key = ANY(%s)",
        (sys.argv[1:],),
    ):
        print(*row)
"""


def told_of(site: Cluster, keys: Collection[str]) -> str:
    """The rows of some of them, for people; or why there are none."""
    some = sorted(keys)[:_MOST]
    try:
        said = site.run(
            *("kubectl", "-n", NAMESPACE, "exec", f"deploy/{ENGINE}-worker", "-c", "worker", "--"),
            *("python3", "-c", _ASK, *some),
        ).stdout
    except StepFailed as error:
        said = f"nothing: {error}"
    return f"{len(keys)} did not come; site {site.site} says of {some}:\n{said}"
