"""One run, each of whose texts is the same: for finding a place where one is not escaped."""

from __future__ import annotations

from tests.report.stories import START, Teller
from wayfare_engine import runs
from wayfare_engine.objectstore import ObjectStore
from wayfare_engine.resources import CheckLevel, RunKind, RunState, Verdict
from wayfare_engine.runs import Decision, LostPart, Rpo, Rto

#: Ways out of every place that a page has: text, attributes, styles, comments, addresses, drawings.
PAYLOADS = (
    "<script>window.owned=1</script>",
    "</style><script>window.owned=1</script><style>",
    "</title><script>window.owned=1</script>",
    "</pre></td></table><img src=x onerror=window.owned=1>",
    '"><svg onload=window.owned=1>',
    "' onmouseover=window.owned=1 x='",
    '" autofocus onfocus="window.owned=1',
    "javascript:window.owned=1",
    "<iframe srcdoc='<script>parent.owned=1</script>'></iframe>",
    "</svg></figure><a href='javascript:owned=1'>x</a>",
    "<!--<script>window.owned=1</script>",
    "]]><script>window.owned=1</script>",
    "&lt;script&gt;window.owned=1&lt;/script&gt;",
    "{{ it.made.__class__.__mro__ }}{% for x in it %}{{ x }}{% endfor %}",
    "<base href='http://127.0.0.1:9/'><link rel=stylesheet href=//127.0.0.1:9/x.css>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<b>\x00\x1b[2J\x1b]0;owned\x07\r\n\u202egnp.exe\u2066\u200b</b>",
    "\ud7ff\ufeff\ufffe\U000e0041<script>",
)


def hostile(store: ObjectStore, text: str) -> Teller:
    """A run in which everything that a person or another machine wrote is `text`."""
    told = Teller(
        store,
        RunKind.FAILOVER,
        START,
        target=text,
        requested_by=text,
        reason=text,
        statement=text,
        name=text,
        scenario=LostPart(lost=text, channel=text),
    )
    figures = {
        text: text,
        "nested": {text: [text, {text: text}]},
        "isolated": [{"what": text, "how": text}],
        "stranded": {"rows": 1, "accounted": 1, "resolutions": {text: 1}, "rules": {text: 1},
                     "oldestAt": text, "newestAt": text},
        "reasons": {text: 2},
        "left": [text],
    }  # fmt: skip
    names = ("Precheck", "StartIsolated", "ReplayDecisions", "Cleanup", "Measure", "Reconcile")
    for name in names:
        told.begin(name, by=text)
    check = told.check(text, Verdict.UNKNOWN, level=CheckLevel.DATA, message=text, figures=figures)
    for name in names:
        told.step(name, summary=text, figures=figures, checks=[check], seen={text: [text]})
    told.step("Verify", failed=True, summary=text)
    digest = runs.evidence.put_text(store, text)
    told.rule("Verify", Decision.APPROVE, approver=text, reason=text, digest=digest)
    told.rule("Route", Decision.RETRY, approver=text, reason=text, digest=text)
    told.ask(text, message=text)
    told.end(
        RunState.ABANDONED,
        Verdict.UNKNOWN,
        summary=text,
        rto=Rto(seconds=1.0, from_=text),
        rpo=Rpo(rows=1, basis=text),
    )
    return told
