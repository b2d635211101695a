"""`kubectl wayfare …` with a real kubectl: the same commands, and their completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report import stories
from tests.report.cluster import Site, running_site
from tests.report.place import Place
from tests.servers.apiserver import MISSING, cluster_binaries
from tests.servers.command import clean_environment
from tests.servers.require import need

pytestmark = pytest.mark.contract


class Kubectl:
    """A real kubectl that finds the plugin on PATH."""

    def __init__(self, folder: Path) -> None:
        programs = cluster_binaries()
        need(programs, MISSING)
        assert programs is not None
        own = str(Path(sys.executable).parent)
        for name in ("kubectl-wayfare", "kubectl_complete-wayfare"):
            assert shutil.which(name, path=f"{own}:{os.environ['PATH']}"), "run make setup"
        program = folder / "kubectl"
        if not program.exists():
            call = " ".join(f"'{part}'" for part in programs["kubectl"])
            program.write_text(f'#!/bin/sh\nexec {call} "$@"\n')
            program.chmod(0o755)
        self.program = program
        self.path = f"{folder}:{own}:{os.environ['PATH']}"

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it."""
        return subprocess.run(
            [self.program, *words],
            env=clean_environment(environment) | {"PATH": self.path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """kubectl."""
    return Kubectl(tmp_path_factory.mktemp("kubectl"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a plan."""
    with running_site(tmp_path_factory.mktemp("site")) as started:
        yield started


def test_kubectl_knows_the_plugin(kubectl: Kubectl) -> None:
    done = kubectl("plugin", "list", "--name-only")
    assert "kubectl-wayfare" in done.stdout.split()
    done = kubectl("wayfare", "recovery", "failover", "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: kubectl wayfare recovery failover" in " ".join(done.stdout.split())


def test_it_makes_the_report_of_a_run(kubectl: Kubectl, place: Place) -> None:
    told = stories.drill(place.store)
    words = ("wayfare", "recovery", "report", told.name, "--output", "-")
    done = kubectl(*words, **place.environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<!doctype html>")


def test_exit_codes_and_sentences_come_through(kubectl: Kubectl) -> None:
    done = kubectl("wayfare", "recovery", "report")
    assert done.returncode == 3
    assert done.stderr.startswith("wayfare: WAYFARE_OBJECT_STORE_URL")
    assert "Traceback" not in done.stderr


def test_it_makes_a_run_where_the_kubeconfig_leads(kubectl: Kubectl, site: Site) -> None:
    environment = site.environment("dora")
    done = kubectl("wayfare", "recovery", "drill", "retail", "-n", "bank", **environment)
    assert done.returncode == 0, done.stderr
    assert [run["spec"]["kind"] for run in site.items("RecoveryRun")] == ["Drill"]


def test_words_options_and_names_are_completed(kubectl: Kubectl, site: Site) -> None:
    def completed(*words: str) -> list[str]:
        done = kubectl("__complete", "wayfare", *words, **site.environment("dora"))
        *found, directive = done.stdout.splitlines()
        assert directive == ":4", done.stdout
        return [line.partition("\t")[0] for line in found]

    assert completed("recovery", "f") == ["failover", "failback"]
    assert completed("recovery", "failover", "x", "--st") == ["--statement", "--store"]
    assert completed("recovery", "drill", "--namespace", "bank", "re") == ["retail"]
    assert completed("recovery", "drill", "--namespace", "bank", "no") == []
