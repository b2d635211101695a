"""Drills by schedule, and what a site tells of itself."""

from __future__ import annotations

from typing import Any

from tests.unit.operator.recovery_objects import at, plan_of, standing
from wayfare_engine.resources import Phase, parse
from wayfare_engine.runs import Capacity, Versions
from wayfare_operator.recovery import drills
from wayfare_operator.recovery.memory import SiteFacts
from wayfare_operator.recovery.secret_digests import with_digests
from wayfare_operator.recovery.site_facts import with_schema


def test_a_scheduled_drill_is_due_once_in_its_zone() -> None:
    plan = plan_of(drill={"schedule": "0 4 * * 6", "timeZone": "Europe/Lisbon"})
    known = standing(drills_until=at(0))

    def due(hours: float, **more: Any) -> drills.Due | None:
        fields: dict[str, Any] = {"phase": Phase.PRODUCTION, "busy": None, **more}
        return drills.due(plan, known, at(hours), **fields)

    assert due(3.9) is None  # 2026-01-10 is a Saturday
    found = due(4.1)
    assert found is not None
    assert (found.at, found.skip) == (at(4), None)
    late = due(5)
    assert late is not None
    assert late.skip is not None
    assert "10 minutes" in late.skip
    other = due(4.1, phase=Phase.EMERGENCY)
    assert other is not None
    assert other.skip == "the plan is in phase Emergency, and drills begin in Production"
    busy = due(4.1, busy="run x of west is open")
    assert busy is not None
    assert busy.skip == "run x of west is open"
    assert drills.due(plan_of(), known, at(4.1), phase=Phase.PRODUCTION, busy=None) is None


def test_the_name_of_a_scheduled_run_fits_and_is_the_same_whoever_makes_it() -> None:
    name = drills.name_of("bank-of-the-north-east", at(4))
    assert name.startswith("bank-of-t-")
    assert len(name) <= 30
    assert name != drills.name_of("bank-of-the-north-west", at(4))
    assert drills.name_of("bank", at(4)) == "bank-202601100400"
    run = drills.run_of(
        plan_of(drill={"schedule": "0 4 * * 6", "timeZone": "UTC"}), at(4), author="op"
    )
    assert isinstance(parse(run), object)
    assert run["spec"]["scenario"] == {"lost": "Site"}


def test_a_check_tells_digests_of_the_plan_s_secrets_by_a_container_that_mounts_them() -> None:
    plan = plan_of(secrets=[{"name": "keys"}, {"name": "tls", "compare": "Present"}])
    check = {
        "name": "task",
        "command": ["wayfare", "recovery", "task", "Check"],
        "env": [{"name": "A", "value": "b"}],
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    volumes = [{"name": "tmp", "emptyDir": {}}]
    made = with_digests({"spec": {"containers": [check], "volumes": volumes}}, plan, "bank-key")
    [told] = made["spec"]["initContainers"]
    folder = "/etc/wayfare/planned-secrets"
    assert told["command"] == ["wayfare", "recovery", "secrets", folder, "--present", "tls"]
    assert [each["mountPath"] for each in told["volumeMounts"][1:]] == [
        f"{folder}/keys",
        f"{folder}/tls",
    ]
    assert told["env"][-1]["valueFrom"]["secretKeyRef"] == {"name": "bank-key", "key": "key"}
    assert [each.get("secret") for each in made["spec"]["volumes"][1:]] == [
        {"secretName": "keys", "optional": True},
        {"secretName": "tls", "optional": True},
    ]
    assert made["spec"]["containers"] == [check]


def test_a_site_that_sleeps_still_says_the_schema_of_its_image() -> None:
    def versions(image: str, schema: str | None) -> Versions:
        return Versions(operator="1", image=image, schema=schema, kubernetes="v1")

    found = SiteFacts(versions("a:2", None), Capacity(cpu=None, memory=None, pods=None))
    same, other = versions("a:2", "r20"), versions("a:1", "r19")
    assert with_schema(found, None, other, same).versions.schema == "r20"
    assert with_schema(found, "r21", same).versions.schema == "r21"
    assert with_schema(found, None, other, None).versions.schema is None
