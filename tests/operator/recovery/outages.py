"""The object store goes away in each step of a run, and comes back.

It is gone for one site, its operator and its Jobs, from the moment in which that site writes that a
step began (what it does for it comes next), or its result (what it did for it is done).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.operator.recovery.place import Place
from tests.servers.faultstore import Cut, FaultStore, Rule, running_faults
from tests.servers.operating import Operating
from tests.servers.wait import until
from wayfare_engine.resources import RunKind
from wayfare_engine.runs import By, StepName, procedure

BRIEF = {"WAYFARE_OBJECT_STORE_TIMEOUT_SECONDS": "1"}
"""One call is given up after that: here nobody waits for a store that is slow."""

ENDED = ("Succeeded", "Failed", "Abandoned")


@dataclass
class Outages:
    """Those that a run goes through. `places` of the sites that take part; `driver` has the run."""

    faults: FaultStore
    places: Mapping[str, Place]
    driver: str = "west"
    happened: list[str] = field(default_factory=list)

    def start(self, operator: Operating, site: str) -> None:
        """Start a site's operator, which comes to the store by a way of its own."""
        operator.start(**self.faults.options(site), **BRIEF)

    def go_through(
        self, name: str, moments: Mapping[str, str], *, number: int = 1
    ) -> dict[str, Any]:
        """The store goes away for a site whenever one of its `moments` (each with its site) of the
        run of this number is put, and is back when the site was seen to do without it. The run's
        status at its end."""
        driver, to_come = self.places[self.driver], dict(moments)

        def over() -> bool:
            return driver.status(name).get("state") in ENDED

        while to_come:
            rules = {
                moment: self.faults.rule(site, Cut(), methods="PUT", path=f"/0+{number}/{moment}$")
                for moment, site in to_come.items()
            }
            until(
                partial(_used_or, list(rules.values()), over),
                seconds=90,
                what=f"one of {sorted(to_come)} is put",
            )
            now = [moment for moment, rule in rules.items() if rule.used]
            assert now, f"these were never put: {sorted(to_come)}"
            for site in {to_come[moment] for moment in now}:
                self._go_away(name, site)
            assert not over(), json.dumps(driver.status(name), indent=1)
            self.happened += now
            to_come = {moment: site for moment, site in to_come.items() if moment not in now}
            self.faults.heal()
        return driver.wait_state(name, *ENDED, "WaitingForApproval", seconds=90)

    def _go_away(self, name: str, site: str) -> None:
        gone = self.faults.rule(site, Cut())
        # A client tries a call four times before anybody hears of it.
        until(lambda: gone.used > 8, what=f"site {site} has tried more than once")
        if site == self.driver:
            self.places[site].cluster.not_ready("recoveryruns", name, "ObjectStoreUnavailable")


def _used_or(rules: Sequence[Rule], over: Callable[[], bool]) -> bool:
    return any(rule.used for rule in rules) or over()


@contextlib.contextmanager
def outages(*, driver: str = "west", **places: Place) -> Iterator[Outages]:
    """For sites by name: their Jobs come to the store each by its site's way."""
    with running_faults(places[driver].objects) as faults:
        for site, place in places.items():
            place.jobs.secrets = {**place.jobs.secrets, "vault": faults.options(site)}
            place.jobs.extra = {**place.jobs.extra, **BRIEF}
        yield Outages(faults, places, driver)


def moments(
    kind: RunKind, *, driver: str = "west", other: str = "", skipped: Collection[str] = ()
) -> dict[str, str]:
    """What is put in the steps of a kind of run, with the site that puts it: `other` is the site
    that the driver asks."""
    found: dict[str, str] = {}
    for step in procedure(kind).steps:
        if step.name in skipped:
            continue
        found[f"{step.name}/attempts/0*1/begun"] = driver
        found[f"{step.name}/result"] = driver
        if step.by is By.OTHER_SITE and step.name is not StepName.STAND_DOWN:
            # Its task's own; what StandDown consists of is asked for part by part, and its sum is
            # the driver's.
            found[f"{step.name}/result"] = other
    return found


def assert_each_step_made_once(status: dict[str, Any]) -> None:
    """Every step was made by its first attempt: nobody had to have one tried again."""
    assert status["state"] == "Succeeded", json.dumps(status, indent=1)
    assert {step["attempt"] for step in status["steps"] if step["state"] == "Succeeded"} == {1}
