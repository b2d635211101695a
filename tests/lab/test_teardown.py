"""What `down` leaves, and who may bring a lab up. These tests take the lab down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.lab import LabSession, LabSite
from tests.servers.wait import until
from wayfare_lab import remains, state
from wayfare_lab.errors import OtherLabUp
from wayfare_lab.lab import Lab
from wayfare_lab.layout import DATA, RUN, Site

pytestmark = pytest.mark.lab

# Images that another process builds at this time come and go below this.
_NOT_OURS = "/storage/overlay"


@pytest.fixture
def no_lab(lab: LabSession) -> Iterator[LabSession]:
    assert lab.tools.is_dir()
    if lab.found_up and os.environ.get("CI") != "true":
        pytest.skip("a lab was up before these tests, which would take it down")
    Lab().down()
    yield lab
    Lab().down()


def _machine() -> dict[str, set[str]]:
    """What a lab could leave on the machine, seen without the lab's own eyes."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True)
    named = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    commands = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "/run/wayfare" in command or "containerd" in command or "wayfare-lab" in command:
            commands.add(command)
    return {
        "links": {line.split()[1].rstrip(":") for line in links.stdout.splitlines()},
        "network namespaces": set(named.stdout.split()),
        "mounts": {line for line in mounts if _NOT_OURS not in line},
        "cgroups": {str(path) for path in Path("/sys/fs/cgroup").glob("*/*/")},
        "processes": commands,
        "folders": {str(path) for path in (RUN, DATA) if path.exists()},
    }


def test_down_leaves_the_machine_as_it_was(no_lab: LabSession) -> None:
    before = _machine()
    no_lab.site("east")
    assert _machine() != before
    Lab().down()
    assert _machine() == before
    Lab().down()
    assert _machine() == before


_STAGES = {
    "after the first namespace": lambda: Path("/run/netns/wayfare-switch").exists(),
    "after the vault's start": lambda: state.running(Site("vault", 15)) is not None,
    "after the site's network": lambda: Path("/run/netns/wayfare-east").exists(),
    "while the API server starts": lambda: state.running(Site("east", 0)) is not None,
    "while the node starts": lambda: (Site("east", 0).log / "kubelet.log").exists(),
}


@pytest.mark.parametrize("stage", _STAGES)
def test_down_cleans_up_after_an_up_that_was_killed(no_lab: LabSession, stage: str) -> None:
    before = _machine()
    up = subprocess.Popen(
        [sys.executable, "-m", "wayfare_lab", "up", "--sites", "east"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(_STAGES[stage], seconds=60, what=stage, every=0.002)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    Lab().down()
    assert _machine() == before


def test_up_goes_on_over_what_a_dead_one_left(no_lab: LabSession) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "wayfare_lab", "up", "--sites", "east"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(_STAGES["while the API server starts"], what="a machine", every=0.002)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    site = no_lab.site("east")
    assert site.kubectl("get", "nodes", "-o", "name").strip() == "node/east"


def test_down_finds_everything_without_the_labs_own_notes(no_lab: LabSession) -> None:
    before = _machine()
    no_lab.site("east")
    remains.remove_folder(RUN)
    Lab().down()
    assert _machine() == before


def test_another_clone_is_refused_while_a_lab_is_up(site: LabSite, tmp_path: Path) -> None:
    other = Lab(clone=tmp_path)
    with pytest.raises(OtherLabUp, match="wayfare lab down"):
        other.up(["east"], site.tools)
    with pytest.raises(OtherLabUp):
        other.down()
    assert state.running(Site("east", 0))


def test_a_lab_of_a_clone_that_is_gone_can_be_taken_down_by_another(
    no_lab: LabSession, tmp_path: Path
) -> None:
    before = _machine()
    gone = tmp_path / "gone"
    gone.mkdir()
    Lab(clone=gone).up(["east"], no_lab.tools)
    with pytest.raises(OtherLabUp):
        Lab().down()
    gone.rmdir()
    Lab().down()
    assert _machine() == before


def test_data_that_was_kept_is_there_again(no_lab: LabSession) -> None:
    no_lab.site("east").kubectl("create", "namespace", "kept")
    Lab().down(keep_data=True)
    assert no_lab.site("east").kubectl("get", "namespace", "kept", "-o", "name")
