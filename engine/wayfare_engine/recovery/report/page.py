"""The report as one HTML page: no outside request, no script, light and dark, printable.

Jinja escapes every value; before that each is made visible (`shown`). The style sheet is named by
its hash in the page's content policy, so that nothing else could be run or fetched even if a value
got out of its place.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from wayfare_engine.reconcile.rules import RULES
from wayfare_engine.recovery.report.columns import columns
from wayfare_engine.recovery.report.model import CheckSeen, Report
from wayfare_engine.recovery.report.shown import moment, shown, span
from wayfare_engine.recovery.report.timeline import timeline

_FROM = {
    "FaultAt": "the fault, as the request gives its time",
    "LastBeat": "the acting site's newest beat",
    "Request": "the request",
}
_MOST_FIGURES = 60
_DEEPEST = 8
_LARGEST = 10**18
_DIGEST = "sha256:"


def page(report: Report) -> str:
    """The page."""
    style = _style()
    marks = _marks(report)
    origin = _origin(report)
    tally = {word: sum(c.verdict == word for c in report.checks) for word in _VERDICTS}
    drawn = timeline(
        report.steps,
        origin=origin,
        marks=marks,
        until=report.head.ended_at or report.made.at,
    )
    text = (
        _templates()
        .get_template("page.html.j2")
        .render(
            it=report,
            style=Markup(style),  # noqa: S704 - a file of this package
            style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            tally=tally,
            levels=[
                *_by_level(report.checks, "{} level"),
                *_by_level(report.earlier_checks, "{} level, found by earlier attempts"),
            ],
            sound=sum(one.state == "Verified" for one in report.evidence),
            evidence_by_digest={one.digest: one for one in report.evidence},
            problems=_problems(report),
            rule_says={name: says for name, (_, says) in RULES.items()},
            rto_from=_FROM.get(report.rto.basis, "an unknown moment"),
            timeline=drawn,
            timeline_said=f"Seconds since {moment(origin)}. Shaded: past the point of no return."
            if drawn.no_way_back_y is not None
            else f"Seconds since {moment(origin)}.",
            rto_columns=columns(report.history, lambda run: run.rto, span),
            rpo_columns=columns(report.history, lambda run: run.rpo, _count),
        )
    )
    return text.lstrip()


_VERDICTS = ("Passed", "Failed", "Unknown")


def _origin(report: Report) -> datetime:
    """When the clock of the recovery time started: so long before its end as the run says that it
    took, else as far as is known."""
    if report.clock_to is not None and report.rto.value is not None:
        with suppress(OverflowError):
            return report.clock_to - timedelta(seconds=report.rto.value)
    return report.clock_from or report.people.fault_at or report.head.requested_at


def _marks(report: Report) -> list[tuple[str, str, datetime]]:
    found = [("request", "requested", report.head.requested_at)]
    if report.people.fault_at is not None:
        found.insert(0, ("fault", "fault", report.people.fault_at))
    elif report.rto.basis == "LastBeat":
        found.insert(0, ("fault", "newest beat of the site that acted", _origin(report)))
    if report.clock_to is not None:
        found.append(("serving", "serves: the recovery time ends", report.clock_to))
    if report.head.ended_at is not None:
        found.append(("end", f"ended: {report.head.state}", report.head.ended_at))
    return found


def _problems(report: Report) -> list[str]:
    return [f"{one.path}: {one.problem}" for one in report.objects if one.problem] + [
        f"evidence {one.digest} of {', '.join(one.named_by)} is {one.state.lower()}"
        for one in report.evidence
        if one.state != "Verified"
    ]


def _by_level(checks: Sequence[CheckSeen], called: str) -> list[tuple[str, list[CheckSeen]]]:
    """The checks of each level under their heading, in the order that they have in the report."""
    found: dict[str, list[CheckSeen]] = {}
    for check in checks:
        found.setdefault(called.format(check.level), []).append(check)
    return list(found.items())


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Figures as (name, text), nested ones with their path; so many at most, and it is said."""
    found = list(_leaves(values, ""))
    yield from found[:_MOST_FIGURES]
    if len(found) > _MOST_FIGURES:
        yield "…", f"{len(found) - _MOST_FIGURES} more are in the record"


def _leaves(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        yield path, "more, in the record"
    elif isinstance(value, Mapping) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else str(name), depth + 1)
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list)) for v in value):
        for number, part in enumerate(value):
            yield from _leaves(part, f"{path}[{number}]", depth + 1)
    elif isinstance(value, (list, tuple)):
        yield path, ", ".join(_leaf(part) for part in value) or "none"
    else:
        yield path, _leaf(value)


def _leaf(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)) and not -_LARGEST < value < _LARGEST:
        return "a number too large to be one"
    if isinstance(value, int):
        return _count(value)
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return value if isinstance(value, str) else "none"  # an object without fields


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _anchor(digest: str) -> str:
    """An element's name; what is no digest is told apart by its own."""
    named = digest.removeprefix(_DIGEST)
    return named if named.isalnum() and named.isascii() else _hashed(digest)


def _short(digest: str) -> str:
    return digest.removeprefix(_DIGEST)[:12]


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _seen(value: Any) -> Any:
    """What Jinja does with each value before it escapes it."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return shown(value)


@cache
def _style() -> str:
    loader = _templates().loader
    assert loader is not None
    return loader.get_source(_templates(), "page.css")[0]


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("wayfare_engine.recovery.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_seen,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "moment": moment,
        "span": span,
        "count": _count,
        "flat": _flat,
        "anchor": _anchor,
        "short": _short,
    }
    return made
