"""The demo pointed at any cluster. It is the last of these: its receiver is a pod from then on."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.conftest import demo
from tests.e2e.product import Product

# The first of them waits for the whole demo.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2000)]


def test_any_kubeconfig_serves_and_a_second_run_reuses_the_first(
    product: Product, tmp_path: Path
) -> None:
    """The demo pointed at the lab as at any other cluster, with the loader as a command."""
    before = {pod["metadata"]["uid"] for pod in product.serve_pods()}
    started = time.monotonic()
    result = demo(
        "--cluster",
        str(product.site.kubeconfig),
        "--load",
        "wayfare lab load-image",
        "--customers",
        str(product.customers),
        "--sends",
        "500",
        json_to=tmp_path / "second.json",
    )
    print(f"second run: {time.monotonic() - started:.0f} s")
    assert result["decisions"]["errors"] == 0
    assert {pod["metadata"]["uid"] for pod in product.serve_pods()} == before
