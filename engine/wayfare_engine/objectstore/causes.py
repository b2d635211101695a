"""From what a client of a store says to a sentence: what is wrong, and what to do about it.

Providers give a code in an XML or JSON document; the client puts it into the text of its error, as
it does with what the operating system said. The codes are those of S3 (AWS, MinIO, Ceph,
SeaweedFS), Google Cloud Storage and Azure Blob Storage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from obstore.exceptions import (
    InvalidPathError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)

from wayfare_engine.objectstore.problems import StoreFull, StoreProblem, StoreUnavailable

WRITTEN = "s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER"


@dataclass(frozen=True)
class _Known:
    """A text that says what it is: `what` may use the groups of `pattern`."""

    pattern: re.Pattern[str]
    what: str
    hint: str
    kind: type[StoreProblem] = StoreProblem


def _known(pattern: str, what: str, hint: str, kind: type[StoreProblem] = StoreProblem) -> _Known:
    return _Known(re.compile(pattern, re.DOTALL), what, hint, kind)


GONE = re.compile(r"NoSuchBucket|ContainerNotFound|The specified bucket does not exist")

_KNOWN: tuple[_Known, ...] = (
    _known(
        GONE.pattern,
        "there is no such bucket",
        "create it, or mend the name in WAYFARE_OBJECT_STORE_URL",
    ),
    _known(
        r"StorageFull|QuotaExceeded|quotaExceeded|InsufficientStorage|status code: 507"
        r"|StorageLimit|No space left on device|Disk quota exceeded|StorageQuota",
        "the store is full",
        "make room or raise its quota; until then rows wait in PostgreSQL, and nothing is lost",
        StoreFull,
    ),
    _known(
        r"region '(?P<given>[^']*)' is wrong; expecting '(?P<wanted>[^']*)'",
        "the bucket is in region {wanted}, and this site is configured for {given}",
        "set AWS_REGION={wanted}",
    ),
    _known(
        r"AuthorizationHeaderMalformed|PermanentRedirect|IllegalLocationConstraint"
        r"|incorrectly configured region|AuthorizationQueryParametersError",
        "the bucket is in another region than the one configured",
        "set AWS_REGION to the bucket's region",
    ),
    _known(
        r"InvalidAccessKeyId|InvalidAccessKey\b|Account must be specified",
        "the store does not know this access key",
        "check AWS_ACCESS_KEY_ID (Azure: the account's name and key; Google: the service account)",
    ),
    _known(
        r"SignatureDoesNotMatch|AuthenticationFailed|Invalid Access Key|InvalidSecurity",
        "the secret key does not belong to the access key",
        "check AWS_SECRET_ACCESS_KEY (or the Azure account key)",
    ),
    _known(
        r"RequestTimeTooSkewed",
        "the clock of this machine is more than 15 minutes from the store's",
        "set the clock right; the lease does not depend on it, signing of requests does",
    ),
    _known(
        r"ExpiredToken|TokenRefreshRequired|InvalidToken",
        "the session's credentials have expired",
        "renew them, or let the pod take them from its service account",
    ),
    _known(
        r"Unable to open service account file from (?P<file>[^:]+)",
        "the service account's file {file} cannot be read",
        "check GOOGLE_APPLICATION_CREDENTIALS",
    ),
    _known(
        r"Read-only file system|Permission denied",
        "the folder may not be written to",
        "check the mount and the owner of the folder",
    ),
    _known(
        r"/latest/api/token|169\.254\.169\.254|metadata\.google\.internal",
        "no credentials were given, and the machine's metadata service does not answer",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (Google: "
        "GOOGLE_APPLICATION_CREDENTIALS; Azure: AZURE_STORAGE_ACCOUNT_NAME and _KEY)",
    ),
    _known(
        r"NotImplemented|status code: 501",
        "the store does not know this request",
        "the journal needs a store with conditional writes (If-None-Match)",
    ),
)

_LINE: tuple[tuple[str, str], ...] = (
    (r"Connection refused", "nothing listens at {where}"),
    (r"dns error|failed to lookup address", "the name in {where} is not known to the DNS"),
    (r"TimedOut|timed out|Timeout", "{where} did not answer in time"),
    (r"certificate|UnknownIssuer|InvalidCertificate", "the certificate of {where} is not trusted"),
    (r"No route to host|Network is unreachable", "there is no way to {where}"),
    (r"ConnectionReset|body error|IncompleteMessage", "the line to {where} was cut"),
    (r"tcp connect error|Connect\b", "no connection to {where}"),
    (r"error sending request", "the line to {where} was cut"),
)


def problem_of(url: str, doing: str, error: BaseException) -> StoreProblem:
    """The problem that an error of the client stands for; `doing` such as "writing x"."""
    text = str(error)
    for known in _KNOWN:
        found = known.pattern.search(text)
        if found is not None:
            words = found.groupdict()
            what = known.what.format(**words)
            return known.kind(url, f"{doing}: {what}", known.hint.format(**words))
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError, PermissionError)) or (
        re.search(r"status code: 40[13]", text)
    ):
        return StoreProblem(
            url,
            f"{doing} was refused ({_code(text) or 'access denied'})",
            "these credentials need the rights to read, write and list here; give them those, or "
            "use others",
        )
    if isinstance(
        error, (NotSupportedError, InvalidPathError, UnknownConfigurationKeyError, ValueError)
    ):
        return StoreProblem(url, f"{doing}: {first_line(error)}", f"write {WRITTEN}")
    return StoreUnavailable(
        url,
        f"{doing} failed: {_cause(text) or first_line(error)}",
        "rows wait in PostgreSQL until the store answers; check that it runs and the network to it",
    )


def panicked(url: str, doing: str, error: BaseException) -> StoreProblem:
    """The client broke down: only a configuration that it cannot digest makes it."""
    return StoreProblem(
        url,
        f"{doing}: the client cannot work with this configuration ({first_line(error)})",
        "check the endpoint, the region and the credentials for stray characters",
    )


def conflict_in_flight(error: BaseException) -> bool:
    """Whether a "conflict" means that another request for the key is under way, outcome unknown."""
    return bool(re.search(r"ConditionalRequestConflict|OperationAborted", str(error)))


def bucket_gone(error: BaseException) -> bool:
    """Whether "not found" speaks of the bucket and not of the object."""
    return bool(GONE.search(str(error)))


def first_line(error: BaseException) -> str:
    """The first line of an error's text, shortened."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]


def _code(text: str) -> str:
    found = re.search(r"<Code>([^<]+)</Code>", text)
    return found[1] if found else ""


def _cause(text: str) -> str:
    place = re.search(r"Error performing \w+ (\w+://[^/\s]+)", text)
    where = place[1] if place else "the store"
    status = re.search(r"status code: (\d+ [A-Za-z ]+)", text)
    if status is not None:
        code = _code(text)
        return f"{where} answered {status[1].strip()}" + (f" ({code})" if code else "")
    for pattern, what in _LINE:
        if re.search(pattern, text):
            return what.format(where=where)
    return ""
