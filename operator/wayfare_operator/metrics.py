"""The operator's metrics, each named once."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

LEADING = Gauge("wayfare_operator_leading", "1 while this replica leads.", registry=REGISTRY)
RECONCILES = Counter(
    "wayfare_operator_reconciles_total",
    "Reconciles, by kind of work and result.",
    ("work", "result"),
    registry=REGISTRY,
)
RECONCILE_SECONDS = Histogram(
    "wayfare_operator_reconcile_seconds",
    "Time of a reconcile, by kind of work.",
    ("work",),
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0),
    registry=REGISTRY,
)
QUEUED = Gauge("wayfare_operator_queue_keys", "Keys that are to be reconciled.", registry=REGISTRY)
