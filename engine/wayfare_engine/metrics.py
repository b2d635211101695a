"""Every metric of the engine, its name spelled once."""

from __future__ import annotations

from typing import Protocol

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
        self.facts = FactMetrics(self.registry)
        self.receipts = ReceiptMetrics(self.registry)
        self.pull = PullMetrics(self.registry)
        self.tasks = TaskMetrics(self.registry)


class LedgerMetrics:
    """What a ledger writer counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.queue = Gauge(
            "wayfare_ledger_queue_rows",
            "Rows not yet in PostgreSQL: what a kill in this moment may lose",
            registry=registry,
        )
        self.oldest = Gauge(
            "wayfare_ledger_oldest_seconds",
            "How long the oldest row that is not yet in PostgreSQL has been waiting",
            registry=registry,
        )
        self.flush_interval = Gauge(
            "wayfare_ledger_flush_interval_seconds",
            "How long a row waits for the next transaction, at most, while PostgreSQL answers",
            registry=registry,
        )
        self.capacity = Gauge(
            "wayfare_ledger_capacity_rows",
            "Rows that may wait at a time; a kill never loses more",
            registry=registry,
        )
        self.flush_seconds = Histogram(
            "wayfare_ledger_flush_seconds",
            "Time of one transaction that writes rows and what follows from them",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
            registry=registry,
        )
        self.spooled = Counter(
            "wayfare_ledger_spooled_rows",
            "Rows put aside because this site does not hold their epoch any more",
            registry=registry,
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


class FactMetrics:
    """What a writer of committed facts counts."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.facts = Counter(
            "wayfare_facts_total",
            "Facts acknowledged: written, or repeats of earlier ones",
            ["answer"],
            registry=registry,
        )
        self.refused = Counter(
            "wayfare_facts_refused_requests",
            "Requests not acknowledged (busy, away, time, epoch, refused)",
            ["why"],
            registry=registry,
        )
        self.transactions = Counter(
            "wayfare_facts_transactions", "Transactions that wrote facts", registry=registry
        )
        self.waiting = Gauge(
            "wayfare_facts_waiting", "Facts that wait to be written", registry=registry
        )


class ReceiptMetrics:
    """What providers said of sends."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.receipts = Counter(
            "wayfare_receipts_total",
            "Receipts by channel and what they were: written, repeat, unmatched",
            ["channel", "answer"],
            registry=registry,
        )
        self.refused = Counter(
            "wayfare_receipts_refused_total",
            "Calls with receipts that no secret of the channel signed, or not of now",
            registry=registry,
        )
        self.callbacks = Counter(
            "wayfare_callbacks_total",
            "Providers' own calls and what became of them: taken, refused, not-now",
            ["answer"],
            registry=registry,
        )


class PullMetrics:
    """What systems fetched, and said of it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.fetched = Counter(
            "wayfare_pulled_sends_total",
            "Sends that were given to pullers, by channel",
            ["channel"],
            registry=registry,
        )
        self.acknowledged = Counter(
            "wayfare_pull_acknowledgements_total",
            "Acknowledgements by channel and what became of them: Settled, Repeat, Noted, "
            "Overtaken, WrongLease, UnknownSend",
            ["channel", "taken"],
            registry=registry,
        )


class TaskMetrics:
    """What people did with tasks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.changes = Counter(
            "wayfare_task_changes_total",
            "Calls by action (take, return, close) and what they were: written, repeat, conflict",
            ["action", "answer"],
            registry=registry,
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
        self.tasks = Gauge(
            "wayfare_tasks",
            "Tasks that are not ended, by state",
            ["state"],
            registry=self.registry,
        )
        self.unmatched_receipts = Gauge(
            "wayfare_unmatched_receipts",
            "Receipts that are kept and match no send, by channel",
            ["channel"],
            registry=self.registry,
        )
        self.journal = JournalMetrics(self.registry)
        self.sends = SendMetrics(self.registry)
        self.standby = StandbyMetrics(self.registry)
        self.keeping = KeepingMetrics(self.registry)
        self.epoch = Gauge(
            "wayfare_site_epoch", "The epoch that the database is at", registry=self.registry
        )
        self.holds = Gauge(
            "wayfare_site_holds_epoch",
            "1 while this site's database writes under its epoch",
            registry=self.registry,
        )


class SendMetrics:
    """A worker's hand-overs."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.hand_overs = Counter(
            "wayfare_hand_overs_total",
            "Sends handed over to a channel's host, by what it came to",
            ["channel", "result"],
            registry=registry,
        )
        self.seconds = Histogram(
            "wayfare_hand_over_seconds",
            "Time of one call of a channel's host",
            ["channel"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=registry,
        )
        self.breaker = Gauge(
            "wayfare_channel_breaker_state",
            "1 for the state that the channel's breaker is in",
            ["channel", "state"],
            registry=registry,
        )
        self.breaker_changes = Counter(
            "wayfare_channel_breaker_changes_total",
            "Changes of the channel's breaker, by the state it went to",
            ["channel", "state"],
            registry=registry,
        )
        self.sends = Gauge(
            "wayfare_channel_sends",
            "Sends by where they stand: waiting, in_flight, unknown",
            ["channel", "standing"],
            registry=registry,
        )
        self.may_send = Gauge(
            "wayfare_may_send_seconds",
            "Seconds that the right to act lasts as of the last look; 0: it is not held",
            registry=registry,
        )


class StandbyMetrics:
    """How a site that does not hold its epoch follows the one that does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.following = Gauge(
            "wayfare_standby_following", "1 in a worker that follows", registry=registry
        )
        self.lag_rows = Gauge(
            "wayfare_standby_lag_rows",
            "Rows of the acting site, by its newest beat, that are not applied here",
            registry=registry,
        )
        self.lag_seconds = Gauge(
            "wayfare_standby_lag_seconds",
            "For how long this database has not been at the journal's end",
            registry=registry,
        )
        self.position = Gauge(
            "wayfare_standby_position",
            "Position up to which a chain is applied here",
            ["site", "epoch"],
            registry=registry,
        )
        self.rows = Counter(
            "wayfare_standby_rows_total", "Rows that were applied", registry=registry
        )
        self.segments = Counter(
            "wayfare_standby_segments_total", "Segments that were applied", registry=registry
        )
        self.apply_seconds = Counter(
            "wayfare_standby_apply_seconds_total", "Time of the rounds", registry=registry
        )
        self.failures = Counter(
            "wayfare_standby_failures_total", "Rounds that failed", registry=registry
        )
        self.problem = Gauge(
            "wayfare_standby_problem", "1 while following does not get on", registry=registry
        )


class KeepingMetrics:
    """Checkpoints (`checkpoint`) and snapshots (`snapshot`) that this worker took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.taken = Counter(
            "wayfare_kept_total", "Checkpoints and snapshots taken", ["what"], registry=registry
        )
        self.failures = Counter(
            "wayfare_kept_failures_total", "Those that failed", ["what"], registry=registry
        )
        self.seconds = Gauge(
            "wayfare_kept_seconds", "Time that the last one took", ["what"], registry=registry
        )
        self.taken_at = Gauge(
            "wayfare_kept_timestamp_seconds", "When the last was taken", ["what"], registry=registry
        )
        self.snapshot_rows = Gauge(
            "wayfare_snapshot_rows", "Journal rows the last snapshot stands for", registry=registry
        )


class Progress(Protocol):
    """What a sealer counts itself."""

    holding: bool
    rows: int
    segments: int
    problem: Exception | None


class JournalMetrics:
    """How sealing stands at this site, as one worker sees it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lag_rows = Gauge(
            "wayfare_journal_lag_rows", "Committed rows that are in no segment", registry=registry
        )
        self.lag_seconds = Gauge(
            "wayfare_journal_lag_seconds",
            "Age of the oldest row that is in no segment",
            registry=registry,
        )
        self.sealed_position = Gauge(
            "wayfare_journal_sealed_position",
            "Last position of the present epoch's chain",
            registry=registry,
        )
        self.horizon_age = Gauge(
            "wayfare_journal_horizon_age_seconds",
            "Age of the oldest transaction that holds sealing back",
            registry=registry,
        )
        self.stalled = Gauge(
            "wayfare_journal_stalled",
            "1 while a transaction holds sealing back for long",
            registry=registry,
        )
        self.halted = Gauge(
            "wayfare_journal_halted",
            "1 after sealing stopped here until a person looks",
            registry=registry,
        )
        self._holding = Gauge(
            "wayfare_journal_sealer", "1 in the worker that seals", registry=registry
        )
        self._waiting = Gauge(
            "wayfare_journal_waiting",
            "1 while sealing does not succeed, and is tried again",
            registry=registry,
        )
        self._rows = Gauge(
            "wayfare_journal_sealed_rows", "Rows that this worker sealed", registry=registry
        )
        self._segments = Gauge(
            "wayfare_journal_segments", "Segments that this worker put", registry=registry
        )

    def follow(self, sealer: Progress) -> None:
        """Read the sealer's own figures whenever somebody asks."""
        self._holding.set_function(lambda: float(sealer.holding))
        self._waiting.set_function(lambda: float(sealer.problem is not None))
        self._rows.set_function(lambda: float(sealer.rows))
        self._segments.set_function(lambda: float(sealer.segments))


def exposition(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(registry)
