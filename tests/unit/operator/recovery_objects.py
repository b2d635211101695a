"""A night with a window in it, and the objects of a site that stands by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from wayfare_engine.resources import Channel, Engine, RecoveryPlan, parse
from wayfare_engine.resources.standby import CronWindow
from wayfare_operator.recovery.record import Standing, WindowRecord

MIDNIGHT = datetime(2026, 1, 10, tzinfo=UTC)
NIGHTLY = CronWindow(name="nightly", schedule="0 1 * * *", duration="2h")


def at(hours: float) -> datetime:
    """So many hours after midnight."""
    return MIDNIGHT + timedelta(hours=hours)


def record(**more: Any) -> WindowRecord:
    """A window from 1:00 to 3:00."""
    fields: dict[str, Any] = {"id": "w", "name": "nightly", "begins": at(1), "ends": at(3)}
    return WindowRecord(**{**fields, **more})


def standing(**more: Any) -> Standing:
    """A site that has stood by since the day before."""
    return Standing(**{"since": at(-48), "standby_since": at(-12), **more})


def plan_of(**more: Any) -> RecoveryPlan:
    """Engine bank at sites east and west; `more` of its spec."""
    found = parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "RecoveryPlan",
            "metadata": {"name": "bank-of-the-north-east", "namespace": "bank"},
            "spec": {
                "engineRef": {"name": "bank"},
                "sites": [{"name": "east"}, {"name": "west"}],
                "objectives": {"rto": "10m", "rpo": "1m"},
                **more,
            },
        }
    )
    assert isinstance(found, RecoveryPlan)
    return found


def engine_of() -> Engine:
    """Engine bank, with managed stores."""
    found = parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "Engine",
            "metadata": {"name": "bank", "namespace": "bank"},
            "spec": {"stores": {"managed": {}}},
        }
    )
    assert isinstance(found, Engine)
    return found


def channel_of(plugin: str) -> Channel:
    """Channel sms of Engine bank, with this plugin."""
    found = parse(
        {
            "apiVersion": "wayfare.dev/v1alpha1",
            "kind": "Channel",
            "metadata": {"name": "sms", "namespace": "bank"},
            "spec": {
                "engineRef": {"name": "bank"},
                "medium": "SMS",
                "plugin": {"name": plugin},
            },
        }
    )
    assert isinstance(found, Channel)
    return found
