"""Which scenario kills at which crash point. `test_points` compares it with the registry."""

from __future__ import annotations

from typing import NamedTuple

from tests.crash.catching_up import CatchingUp, Restoring
from tests.crash.checkpointing import Checkpointing
from tests.crash.committing import Buffering, Committing
from tests.crash.importing import Importing
from tests.crash.rebuilding import Rebuilding
from tests.crash.reconciling import Reconciling
from tests.crash.running import Running
from tests.crash.scenario import Scenario
from tests.crash.sealing import NewDisk, Sealing
from tests.crash.sending import Sending
from tests.crash.snapshotting import Snapshotting
from tests.crash.taking import Taking

SCENARIOS: tuple[type[Scenario], ...] = (
    Sealing,
    NewDisk,
    CatchingUp,
    Restoring,
    Rebuilding,
    Checkpointing,
    Snapshotting,
    Taking,
    Running,
    Importing,
    Reconciling,
    Committing,
    Buffering,
    Sending,
)

#: Points that are killed by a test of their own: point to "file::test".
ELSEWHERE: dict[str, str] = {
    "outbox.fetching.leased": (
        "tests/fetching/test_pull_faults.py::test_a_pod_is_killed_before_it_answers"
    ),
    "journal.start_over.left": (
        "tests/recovery_steps/test_faults.py"
        "::test_killed_while_it_leaves_what_it_had_it_is_empty_or_as_it_was"
    ),
    **dict.fromkeys(
        (
            "recovery.task.looked",
            "recovery.task.begun",
            "recovery.task.claimed",
            "recovery.task.worked",
            "recovery.task.told",
        ),
        "tests/recovery_steps/test_kills.py::test_a_failover_whose_steps_are_killed_everywhere",
    ),
    **dict.fromkeys(
        (
            "operator.job.before_create",
            "operator.job.created",
            "operator.route.before",
            "operator.route.moved",
            "operator.wake.before",
            "operator.wake.scaled",
        ),
        "tests/operator/recovery/test_kills.py"
        "::test_a_failover_whose_operator_dies_everywhere_ends_as_one_whose_operator_lives",
    ),
    **dict.fromkeys(
        ("operator.job.before_delete", "operator.job.deleted"),
        "tests/operator/recovery/test_kills.py"
        "::test_a_job_that_hangs_is_removed_once_and_the_attempt_has_failed",
    ),
    **dict.fromkeys(
        ("operator.sleep.before", "operator.sleep.scaled"),
        "tests/operator/recovery/test_kills.py"
        "::test_an_abandoned_run_is_taken_back_whoever_does_it",
    ),
    **dict.fromkeys(
        (
            "operator.drill.before_make",
            "operator.drill.made",
            "operator.drill.before_delete",
            "operator.drill.deleted",
        ),
        "tests/operator/recovery/test_drill.py"
        "::test_the_operator_dies_around_each_object_of_a_drill",
    ),
    **dict.fromkeys(
        ("operator.custom_job.before_create", "operator.custom_job.created"),
        "tests/operator/recovery/test_own_checks.py"
        "::test_an_operator_that_dies_around_a_checks_job_makes_it_once",
    ),
    "tasks.changed": "tests/fetching/test_tasks.py::test_a_pod_is_killed_before_it_answers",
}


class Case(NamedTuple):
    """One history: `scenario` killed at `point`, at its passes."""

    scenario: type[Scenario]
    point: str
    passes: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.scenario.__name__}-{self.point}"


CASES = tuple(
    Case(scenario, point, tuple(passes))
    for scenario in SCENARIOS
    for point, passes in scenario.points.items()
)
