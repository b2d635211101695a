"""Where things are in the object store, spelled once. `journal/` and below are relative to the
URL that the store was opened with."""

from __future__ import annotations

MARKER = "wayfare.json"
"""Whose store this is: `{plan, format}`."""

SEQ_DIGITS = 16
EPOCH_DIGITS = 8


def segment(site: str, epoch: int, first: int) -> str:
    """A sealed segment, or the `Closed` object that ends a chain."""
    return f"{chain(site, epoch)}{first:0{SEQ_DIGITS}d}"


def chain(site: str, epoch: int) -> str:
    """Prefix of a chain's segments."""
    return f"journal/{site}/{epoch:0{EPOCH_DIGITS}d}/"


JOURNAL = "journal/"
LEASES = "lease/"
BLOBS = "blobs/"
SNAPSHOTS = "snapshots/"
KEYS = "keys/"
DIGESTS = "digests/"
STRANDED = "stranded/"


def probe(nonce: str, name: str) -> str:
    """An object of a probe; removed at its end."""
    return f"probe/{nonce}/{name}"


def snapshot_manifest(snapshot: str) -> str:
    """What a snapshot is made of; it is put last, so a snapshot without one is not complete."""
    return f"{SNAPSHOTS}{snapshot}/manifest.json"


def snapshot_chunk(snapshot: str, table: str, number: int) -> str:
    """Some rows of one table."""
    return f"{SNAPSHOTS}{snapshot}/{table}/{number:06d}"


def blob(digest: str) -> str:
    """A blob by its SHA-256, 64 hexadecimal digits."""
    return f"{BLOBS}{digest}"


def checkpoint(site: str, epoch: int, seq: int) -> str:
    """The digest of a checkpoint, which is of this chain up to position `seq`."""
    return f"{checkpoints(site, epoch)}{seq:0{SEQ_DIGITS}d}"


def checkpoints(site: str, epoch: int) -> str:
    """Prefix of a chain's checkpoints."""
    return f"{DIGESTS}checkpoint/{site}/{epoch:0{EPOCH_DIGITS}d}/"


def lease(plan: str, epoch: int) -> str:
    """The object whose creation takes an epoch. Never deleted."""
    return f"lease/{plan}/{epoch:0{EPOCH_DIGITS}d}"


def leases(plan: str) -> str:
    """Prefix of a plan's epochs."""
    return f"lease/{plan}/"


def acting(plan: str, epoch: int) -> str:
    """Says that the wait after taking this epoch is over: its holder may act."""
    return f"acting/{plan}/{epoch:0{EPOCH_DIGITS}d}"


def beats(plan: str) -> str:
    """Prefix of the newest beats of a plan's sites."""
    return f"beats/{plan}/"


def beat(plan: str, site: str) -> str:
    """A site's newest beat; overwritten."""
    return f"beats/{plan}/{site}"


def stranded_part(site: str, epoch: int, digest: str) -> str:
    """Rows of a stranded tail, by the SHA-256 of the object."""
    return f"{STRANDED}{site}/{epoch:0{EPOCH_DIGITS}d}/parts/{digest}"


def stranded_manifest(site: str, epoch: int, digest: str) -> str:
    """What a stranded tail is made of; put last."""
    return f"{STRANDED}{site}/{epoch:0{EPOCH_DIGITS}d}/{digest}.json"


RUNS = "runs/"
EVIDENCE = "evidence/"
BEACONS = "beacons/"
BUNDLES = "bundles/"

RUN_DIGITS = 8
ENTRY_DIGITS = 4


def runs(plan: str) -> str:
    """Prefix of a plan's runs."""
    return f"{RUNS}{plan}/"


def run(plan: str, number: int) -> str:
    """Prefix of everything that is kept of one run."""
    return f"{runs(plan)}{number:0{RUN_DIGITS}d}/"


def run_record(plan: str, number: int) -> str:
    """The object whose creation takes a run's number: the lock between sites. Never deleted."""
    return f"{run(plan, number)}run.json"


def run_end(plan: str, number: int) -> str:
    """What became of a run; it opens the way for the next."""
    return f"{run(plan, number)}end"


def step_attempt(plan: str, number: int, step: str, attempt: int) -> str:
    """That an attempt of a step begins; put before anything that it does."""
    return f"{run(plan, number)}{step}/attempts/{attempt:0{ENTRY_DIGITS}d}/begun"


def step_failure(plan: str, number: int, step: str, attempt: int) -> str:
    """What became of an attempt that failed."""
    return f"{run(plan, number)}{step}/attempts/{attempt:0{ENTRY_DIGITS}d}/failure"


def step_result(plan: str, number: int, step: str) -> str:
    """The result of a step that succeeded: its truth."""
    return f"{run(plan, number)}{step}/result"


def run_request(plan: str, number: int, entry: int) -> str:
    """What a run asks of the other site."""
    return f"{run(plan, number)}requests/{entry:0{ENTRY_DIGITS}d}/request"


def run_answer(plan: str, number: int, entry: int) -> str:
    """What the other site answers."""
    return f"{run(plan, number)}requests/{entry:0{ENTRY_DIGITS}d}/answer"


def run_approval(plan: str, number: int, entry: int) -> str:
    """A person's decision that was obeyed."""
    return f"{run(plan, number)}approvals/{entry:0{ENTRY_DIGITS}d}"


def evidence(name: str) -> str:
    """What a step or check saw, by its SHA-256, 64 hexadecimal digits."""
    return f"{EVIDENCE}{name}"


def beacon(plan: str, site: str) -> str:
    """What a site's operator says of the site; overwritten."""
    return f"{BEACONS}{plan}/{site}"


def secrets_seen(plan: str, site: str) -> str:
    """Keyed digests of the Secrets that a site has; overwritten."""
    return f"{DIGESTS}secrets/{plan}/{site}"


def bundle(name: str) -> str:
    """A configuration bundle, by its SHA-256, 64 hexadecimal digits."""
    return f"{BUNDLES}{name}"


def bundle_current(plan: str) -> str:
    """Which bundle the acting site has; overwritten."""
    return f"{BUNDLES}{plan}/current"
