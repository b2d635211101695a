"""Starting a site or the vault as a machine of its own, and stopping it at once."""

from __future__ import annotations

import datetime
import json
import secrets
from pathlib import Path

from wayfare_lab import cgroups, network
from wayfare_lab.certificates import write_secret
from wayfare_lab.errors import NotReady
from wayfare_lab.identities import write_identities
from wayfare_lab.layout import BUCKET, Place, Site, s3_endpoint
from wayfare_lab.programs import write_site_spec, write_vault_spec
from wayfare_lab.settings import write_settings
from wayfare_lab.state import note_running
from wayfare_lab.system import Process, kill_all, members, start_time

_SECRET_BYTES = 24


def start_site(site: Site, sites: list[Site], binaries: Path, now: datetime.datetime) -> Process:
    """Start a site's machine from what is on its disk, or from nothing.

    :param sites: all sites of the lab.
    """
    _folders(site)
    write_identities(site, now)
    write_settings(site, sites)
    write_site_spec(site, binaries)
    return _start(site, binaries)


def start_vault(place: Place, binaries: Path) -> Process:
    """Start the object store's machine, with new keys unless it has some."""
    _folders(place)
    (place.lib / "objects").mkdir(exist_ok=True)
    keys = place.data / "credentials.json"
    if not keys.exists():
        _write_keys(place, keys)
    write_vault_spec(place)
    return _start(place, binaries)


def stop(place: Place) -> datetime.datetime:
    """End every process of a place at once, and take its links and namespace away.

    The machine is gone for all others, as if it had lost power; its disk stays.

    :returns: when its processes were killed.
    """
    at = kill_all(lambda: members(place.name))
    network.disconnect(place)
    cgroups.remove(place.cgroup)
    return at


def _start(place: Place, binaries: Path) -> Process:
    # A machine that runs but was never noted (its `up` was killed) is started anew.
    stop(place)
    network.connect(place)
    cgroups.create(place.cgroup)
    printed = network.inside(place, str(binaries / "machine"), "start", str(place.spec))
    pid = int(printed)
    began = start_time(pid)
    if began is None:
        raise NotReady(place.name, "first process", 0, place.log)
    process = Process(pid, began)
    note_running(place, process)
    return process


def _folders(place: Place) -> None:
    place.data.mkdir(parents=True, exist_ok=True)
    place.data.chmod(0o700)
    for folder in (place.lib, place.log, place.conf, place.run / "root"):
        folder.mkdir(parents=True, exist_ok=True)


def _write_keys(place: Place, keys: Path) -> None:
    access, secret = "lab" + secrets.token_hex(8), secrets.token_urlsafe(_SECRET_BYTES)
    identity = {
        "name": "lab",
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    place.conf.mkdir(parents=True, exist_ok=True)
    write_secret(place.conf / "s3.json", json.dumps({"identities": [identity]}).encode())
    content = {
        "endpoint": s3_endpoint(),
        "bucket": BUCKET,
        "access_key": access,
        "secret_key": secret,
    }
    write_secret(keys, json.dumps(content, indent=2).encode())
