"""What happens between two real sites: cut off, lost, warm. East acts before and after each."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from demo import outside
from demo.cluster import ENGINE, NAMESPACE
from demo.reach import node_port
from demo.recovery import callers, story
from demo.recovery.callers import Door
from demo.recovery.sites import apply
from tests.e2e import events
from tests.e2e.sites import Sites, clock
from tests.servers.wait import until
from wayfare_operator.desired.metadata import SERVE, selector
from wayfare_operator.recovery.steps.route import NOBODY

# The first of them waits for the whole demo.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2000)]

STRANDED_SENDS, STRANDED_EVENTS = 1_000, 9_000
UNSHIPPED_SECONDS = 6
"""Less than the lease: sends go on until the site is lost, though nothing is shipped."""
LAPSE_SECONDS = 12.0
"""The plan's lease."""
FRONT = "front"
"""A Service where callers come in, at each site."""


def test_the_sites_do_not_reach_each_other_and_nothing_happens(sites: Sites) -> None:
    """Each reaches the vault, and that is all that they need of each other."""
    before = {site.site: sites.plan(site) for site in (sites.east, sites.west)}
    since = sites.sending(300)
    with sites.cut(sites.east, "--from-sites"):
        until(lambda: clock() > since + 2.5 * LAPSE_SECONDS, seconds=60, what="the lease's time")
        for site in (sites.east, sites.west):
            now, then = sites.plan(site), before[site.site]
            for name in ("phase", "actingSite", "epoch"):
                assert now[name] == then[name], now
            assert sites.said(site, "Ready")["status"] == "True"
            lapsed = sites.said(site, "LeaseLapsed")
            assert lapsed["status"] == "False", lapsed
            print(f"{site.site} says: {lapsed['reason']}: {lapsed['message']}")
        assert "through the object store" in lapsed["message"]
        sites.wait_sent(since, 300, sites.east, seconds=120)
    assert {one.site for one in sites.arrivals(since)} == {"east"}
    assert not any(one.repeat for one in sites.arrivals(since))


@pytest.mark.more
def test_a_primary_that_lingers_stops_before_the_other_site_starts(sites: Sites) -> None:
    """Cut off from the other site and the vault, east is still reached by its channels and its
    callers; what it wrote and nobody else saw is put back row by row."""
    since, door = sites.sending(1_200), sites.door_of(sites.east)
    with sites.cut(sites.east) as at:
        callers.plan_sends(sites.door, STRANDED_SENDS, first_due=180.0, spacing=0.001)
        reported = events.report(door, STRANDED_EVENTS)
        ended = sites.fail_over(sites.west, at)
        assert decided(sites.door).status_code == 200, "it answers those who reach it"
        sites.wait_sent(since, 1_200, sites.west, seconds=240)
        came = sites.arrivals(since)
    cut_at = at.timestamp()
    last_of_east = max(one.at for one in came if one.site == "east")
    first_of_west = min(one.at for one in came if one.site == "west")
    print(
        f"east's last send came {last_of_east - cut_at:.1f} s after the cut, west's first "
        f"{first_of_west - cut_at:.1f} s: a gap of {first_of_west - last_of_east:.1f} s; "
        f"recovery time {ended['rto']['seconds']} s"
    )
    assert last_of_east < first_of_west
    assert last_of_east - cut_at < LAPSE_SECONDS + 5
    twice = [one.key for one in came if one.repeat]
    assert len(twice) < 100, "only what was under way is in doubt"

    given_back = sites.run(sites.east, "failback")
    report = sites.report(given_back)
    told = report["stranded"]
    print(f"failback {story.whole(given_back):.1f} s, {told['rows']} rows were stranded")
    assert told["rows"] >= STRANDED_SENDS + STRANDED_EVENTS
    assert told["unaccounted"] == 0
    (listed,) = (each for each in report["strandedRows"] if each["step"] == "Reconcile")
    assert len({row["id"] for row in listed["rows"]}) == told["rows"]
    assert all(row["resolution"] for row in listed["rows"])
    # Nothing of it is left for who comes next, and each took effect.
    callers.wait_sent(since, 1_200 + STRANDED_SENDS, seconds=300)
    events.wait_counted(sites.east, reported)
    assert outside.record()["both"] == []


def test_a_warm_standby_takes_over_and_says_what_was_lost(sites: Sites) -> None:
    sites.change_plan(standby={"mode": "Warm"})
    try:
        until(
            lambda: (
                sites.said(sites.west, "ReadyToTakeOver").get("status") == "True"
                and _state(sites) == "Standby"
            ),
            seconds=240,
            what="the standby follows",
            every=1.0,
        )
        # What is left of sends before would end in the middle, and with it an even rate.
        sites.wait_idle()
        since, door = sites.sending(900), sites.door_of(sites.east)
        with (
            ExitStack() as cut,
            callers.asking([sites.door], every=0.1),
            events.reporting(door) as reported,
        ):
            began = clock()
            until(lambda: clock() > began + 35, seconds=60, what="a rate that can be seen")
            cut.enter_context(sites.cut(sites.east))
            cut_at = clock()
            until(lambda: clock() > cut_at + UNSHIPPED_SECONDS, what="rows to be lost")
            at = story.kill(sites.east)
            ended = sites.fail_over(sites.west, at)
        # Senders report again what they do not know to be taken, or all of it.
        known = events.report_again(sites.door_of(sites.west), reported)
        print(
            f"{len(reported.all)} events were reported, {len(known)} came to west by the journal; "
            f"{len(reported.doubtful)} had no answer"
        )
        assert reported.journaled <= known, "what was journaled is not lost"
        assert len(reported.journaled) > 20
        assert reported.committed - known, "some were in no segment"
        sites.wait_sent(since, 900, sites.west, seconds=180)
        steps = {each["name"]: story.seconds_of(ended, each["name"]) for each in ended["steps"]}
        print(f"warm: recovery time {ended['rto']['seconds']} s; steps {steps}")
        story.restore(sites.east)
        given_back = sites.run(sites.east, "failback")
        assert sites.report(given_back)["stranded"]["unaccounted"] == 0
        assert events.report_again(door, reported) == reported.all
        for site in (sites.east, sites.west):
            events.wait_counted(site, reported)
        said, exact = ended["rpo"], given_back["rpo"]
        print(f"said to be lost: {said['rows']} rows, found: {exact['rows']}")
        assert (said["basis"], exact["basis"]) == ("Estimated", "Exact")
        assert said["rows"] == pytest.approx(exact["rows"], rel=0.1)
    finally:
        # Else those that come after would find a site that is lost.
        sites.lab("restore", sites.east.site)
        sites.change_plan(standby={"mode": "Cold"})


@pytest.mark.more
def test_a_service_leads_callers_to_the_site_that_acts(sites: Sites) -> None:
    serving = selector(ENGINE, SERVE)
    for site in (sites.east, sites.west):
        apply(site, front(serving if site is sites.east else NOBODY))
    sites.change_plan(traffic={"type": "Service", "service": {"name": FRONT}})
    try:
        for target in (sites.west, sites.east):
            moved = sites.run(target, "switchover")
            (route,) = (step for step in moved["steps"] if step["name"] == "Route")
            assert route["state"] == "Succeeded", route
            url, door = node_port(target, NAMESPACE, FRONT), sites.door_of(target)
            assert decided(Door(url, door.key)).status_code == 200
            for site in (sites.east, sites.west):
                found = site.get("-n", NAMESPACE, "service", FRONT)["spec"]["selector"]
                assert found == (serving if site is target else NOBODY)
            with pytest.raises(httpx.TransportError):
                decided(Door(node_port(sites.other(target), NAMESPACE, FRONT), door.key))
    finally:
        sites.change_plan(traffic={"type": "None", "service": None})
        for site in (sites.east, sites.west):
            site.kubectl("-n", NAMESPACE, "delete", "service", FRONT)


def front(chosen: dict[str, str]) -> dict[str, Any]:
    """Where a site's callers come in."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": FRONT, "namespace": NAMESPACE},
        "spec": {
            "type": "NodePort",
            "selector": chosen,
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def decided(door: Door) -> httpx.Response:
    """The answer to somebody who asks there."""
    return httpx.post(
        f"{door.url}/v1/decisions",
        json={"customer": "77", "slot": callers.SLOT, "context": {}},
        headers={"Authorization": f"Bearer {door.key}"},
        timeout=5,
    )


def _state(sites: Sites) -> str | None:
    found = sites.plan(sites.west).get("sites") or []
    return next((one.get("state") for one in found if one["name"] == "west"), None)
