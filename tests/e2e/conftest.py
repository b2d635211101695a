"""One run of the demo on the lab, which all end-to-end tests then use."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.product import ENGINE, NAMESPACE, Product
from tests.e2e.sites import Sites
from tests.servers.bank import bank_csv
from tests.servers.lab import LabSite

SCOPES = ("decide", "decisions:read", "sends:write", "sends:read")
ROOT = Path(__file__).resolve().parents[2]


def demo(*arguments: str, json_to: Path) -> dict[str, Any]:
    """Run the demo as `make demo` does; its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "demo.run", "--json", str(json_to), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
        # A session of its own has its own part of the processors.
        start_new_session=True,
    )
    assert done.returncode == 0, f"the demo failed:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    result: dict[str, Any] = json.loads(json_to.read_text())
    return result


@pytest.fixture(scope="session")
def product(lab_site: LabSite, tmp_path_factory: pytest.TempPathFactory) -> Product:
    """The demo's engine on site `east`, with customers loaded."""
    customers = bank_csv()
    result = demo(
        "--customers", str(customers), json_to=tmp_path_factory.mktemp("demo") / "demo.json"
    )
    made = Product(lab_site, "", "", result, customers)
    port = next(
        port["nodePort"]
        for port in made.get("service", ENGINE)["spec"]["ports"]
        if port["name"] == "http"
    )
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    made_key = subprocess.run(
        ["wayfare", "keys", "create", "--engine", ENGINE, "-n", NAMESPACE, *scopes, "--json"],
        env={
            **os.environ,
            "KUBECONFIG": str(lab_site.kubeconfig),
            "WAYFARE_KUBECTL": str(lab_site.tools / "kubectl"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made_key.returncode == 0, made_key.stderr
    key = json.loads(made_key.stdout)["key"]
    (node,) = lab_site.get("nodes")["items"]
    internal = next(
        one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"
    )
    return Product(lab_site, f"http://{internal}:{port}", key, result, customers)


@pytest.fixture(scope="module")
def both(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Sites:
    """Both sites of the demo, with the same objects."""
    found = Sites.of_demo(product.key, tmp_path_factory.mktemp("sites") / "log")
    found.level()
    return found


@pytest.fixture
def sites(both: Sites) -> Sites:
    """Both sites; east acts."""
    both.wait_acts(both.east)
    return both


@pytest.fixture(scope="session")
def rows(product: Product) -> list[dict[str, str]]:
    """The customers' file, row by row; customer_id is the row's number from 1."""
    with product.customers.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=";"))


@pytest.fixture
def some_customers(rows: list[dict[str, str]]) -> list[int]:
    """1,000 random customers, the same in every run."""
    return random.Random(45211).sample(range(1, len(rows) + 1), 1000)
