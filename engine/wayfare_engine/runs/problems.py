"""What can be wrong with records of runs, in words that say what to do."""

from __future__ import annotations

from dataclasses import dataclass

from wayfare_engine.errors import MISSING, USAGE, SaidToPeople


@dataclass(eq=False)
class RunInProgress(SaidToPeople):
    """Another run of the plan has not ended."""

    plan: str
    number: int
    name: str
    target: str

    def __str__(self) -> str:
        return (
            f"plan {self.plan} has a run in progress: {self.name} (number {self.number}) at site "
            f"{self.target}; wait until it ended, or abandon it there"
        )


@dataclass(eq=False)
class RecordDamaged(SaidToPeople):
    """An object that cannot be what it should be."""

    path: str
    cause: str

    def __str__(self) -> str:
        return (
            f"object {self.path} in the object store {self.cause}. It is never rewritten: look "
            "who wrote it, and put it back from the bucket's versions or a copy"
        )


@dataclass(eq=False)
class NewerRecord(SaidToPeople):
    """A record that a newer version wrote."""

    exit_code = MISSING

    path: str
    found: int
    known: int

    def __str__(self) -> str:
        return (
            f"object {self.path} in the object store is of format {self.found}, and this version "
            f"reads {self.known}: upgrade this site first"
        )


@dataclass(eq=False)
class RecordTooLarge(SaidToPeople):
    """What would be written is larger than readers accept."""

    path: str
    size: int
    most: int

    def __str__(self) -> str:
        return (
            f"object {self.path} would have {self.size:,} bytes, and {self.most:,} are the most; "
            "put the detail into evidence, and list fewer"
        )


@dataclass(eq=False)
class NotAsRecorded(SaidToPeople):
    """Something else was recorded before, where only one thing can be."""

    path: str
    cause: str

    def __str__(self) -> str:
        return f"object {self.path} in the object store says otherwise: {self.cause}"


@dataclass(eq=False)
class BadSignature(SaidToPeople):
    """A request or an answer that was not signed with this key, or for something else."""

    path: str
    cause: str

    def __str__(self) -> str:
        return (
            f"object {self.path} in the object store is not obeyed: {self.cause}. Both operators "
            "need the same WAYFARE_RECOVERY_KEY; when they have it, somebody else wrote this "
            "object, and may write to the bucket"
        )


@dataclass(eq=False)
class BadKey(SaidToPeople):
    """The key for requests between sites cannot be used."""

    exit_code = USAGE

    cause: str

    def __str__(self) -> str:
        return (
            f"WAYFARE_RECOVERY_KEY {self.cause}; both sites need the same one, such as `openssl "
            "rand -hex 32` makes"
        )


@dataclass(eq=False)
class EvidenceMissing(SaidToPeople):
    """Evidence that a record names is not in the store."""

    exit_code = MISSING

    digest: str

    def __str__(self) -> str:
        return (
            f"evidence {self.digest} is not in the object store: it was removed, or this is "
            "another bucket or prefix"
        )


@dataclass(eq=False)
class NotForBundles(SaidToPeople):
    """An object that no configuration bundle holds."""

    exit_code = USAGE

    kind: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.kind} {self.name} is in no configuration bundle: those hold Wayfare's own "
            "kinds, without runs and approvals, and never a Secret"
        )


@dataclass(eq=False)
class ConfigConflict(SaidToPeople):
    """Objects that a GitOps tool keeps, in a plan that applies bundles.

    `objects`: (tool, kind, namespace, name) of each.
    """

    exit_code = USAGE

    objects: tuple[tuple[str, str, str, str], ...]

    def __str__(self) -> str:
        tools = " and ".join(sorted({one[0] for one in self.objects}))
        named = ", ".join(f"{kind} {space}/{name}" for _, kind, space, name in self.objects[:5])
        more = len(self.objects) - 5
        return (
            f"{tools} keeps {named}{f' and {more} more' if more > 0 else ''}: with configuration: "
            "Bundle two would write the same objects in turn. Set configuration: External, and "
            "let the tool apply them at both sites"
        )
