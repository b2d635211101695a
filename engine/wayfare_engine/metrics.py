"""Every metric of the engine, its name spelled once."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ServeMetrics:
    """What a serving pod counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decisions = Counter(
            "wayfare_decisions_total",
            "Decisions answered, by slot and outcome (offered, nothing)",
            ["slot", "outcome"],
            registry=self.registry,
        )
        self.decision_seconds = Histogram(
            "wayfare_decision_seconds",
            "Time from the request's last byte to the answer",
            buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5),
            registry=self.registry,
        )
        self.requests = Counter(
            "wayfare_http_requests_total",
            "Requests answered, by route and status",
            ["route", "status"],
            registry=self.registry,
        )
        self.plan = Gauge(
            "wayfare_plan_info", "1 for the plan being served", ["digest"], registry=self.registry
        )
        self.customers = Gauge(
            "wayfare_customers", "Customers known to this pod", registry=self.registry
        )
        self.store_up = Gauge(
            "wayfare_store_up", "1 when the store answers", ["store"], registry=self.registry
        )
        self.ledger = LedgerMetrics(self.registry)


class LedgerMetrics:
    """What a ledger writer counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.queue = Gauge(
            "wayfare_ledger_queue_rows", "Rows not yet in PostgreSQL", registry=registry
        )
        self.written = Counter(
            "wayfare_ledger_written_rows", "Rows written to PostgreSQL", registry=registry
        )
        self.dropped = Counter(
            "wayfare_ledger_dropped_rows",
            "Rows lost, because the buffer was full or PostgreSQL refused the row",
            ["reason"],
            registry=registry,
        )
        self.failures = Counter(
            "wayfare_ledger_flush_failures", "Attempts to write that failed", registry=registry
        )


class WorkerMetrics:
    """What a worker counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.store_up = Gauge(
            "wayfare_store_up", "1 when the store answers", ["store"], registry=self.registry
        )
        self.segments = Counter(
            "wayfare_segments_computed_total", "Memberships computed", registry=self.registry
        )
        self.cycle_seconds = Histogram(
            "wayfare_segment_cycle_seconds",
            "Time of one round of computing memberships",
            buckets=(0.05, 0.25, 1, 5, 15, 60, 300),
            registry=self.registry,
        )
        self.failures = Counter(
            "wayfare_worker_failures", "Rounds that failed", ["task"], registry=self.registry
        )
        self.plans = Counter(
            "wayfare_plans_received",
            "Plans put by the operator",
            ["answer"],
            registry=self.registry,
        )


def exposition(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(registry)
