"""What a Job controller and a kubelet do with Jobs: each is one process of its container's command.

An API server alone runs nothing. This runs what a Job says, with the environment that it says
(fields of the pod, and Secrets, are filled in from what the test gives), and writes the Job's
status as the controller does. A Job that is deleted has its process ended.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.servers.apiserver import ApiServer
from tests.servers.command import clean_environment, run_here
from tests.servers.forking import context
from tests.servers.mirror import mirrored
from wayfare_engine.crashpoints import VARIABLE


@dataclass
class Ran:
    """One pod that was run."""

    job: str
    command: tuple[str, ...]
    environment: dict[str, str]
    process: Any
    log: Path
    began: str


@dataclass
class JobRunner:
    """Runs the Jobs of one namespace. `secrets`: what the pods would mount, by name and key;
    `extra`: environment on top, such as addresses that only a test has."""

    server: ApiServer
    namespace: str
    folder: Path
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    held: Callable[[str], bool] = lambda job: False
    """Jobs for which no pod starts, as on a cluster without room."""
    alone: bool = False
    """Whether each pod ends after its own step, as one that is taken away just then: so that every
    step has a Job of its own."""
    crashes: dict[str, str] = field(default_factory=dict)
    """Where a Job's process dies, by the Job's name; as in WAYFARE_CRASH."""
    ran: list[Ran] = field(default_factory=list)
    _by_uid: dict[str, Ran] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)

    @property
    def _jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs"

    def commands(self) -> list[str]:
        """The steps for which a pod was started, in order; it may have gone on with more."""
        return [each.command[3] for each in self.ran if each.command[0] == "wayfare"]

    def look(self, jobs: Sequence[dict[str, Any]]) -> None:
        """Start what is new, and tell what has ended."""
        present = {job["metadata"]["uid"] for job in jobs}
        for uid in [uid for uid in self._by_uid if uid not in present]:
            self._kill(self._by_uid.pop(uid))
        for job in jobs:
            uid = job["metadata"]["uid"]
            if uid in self._ended:
                continue
            if self._late(job):
                self.fail(job["metadata"]["name"], "DeadlineExceeded", "it was active too long")
                continue
            if self.held(job["metadata"]["name"]):
                continue
            if uid not in self._by_uid:
                self._by_uid[uid] = self._start(job)
                continue
            code = self._by_uid[uid].process.exitcode
            if code is not None:
                self._tell(job, self._by_uid[uid], code)
                self._ended.add(uid)

    def run(self, stop: threading.Event) -> None:
        """Until told to stop."""
        with mirrored(self.server, self._jobs) as (jobs,):
            while not stop.wait(0.05):
                self.look(jobs.items)

    def stop(self) -> None:
        """End every process."""
        for each in self._by_uid.values():
            self._kill(each)

    def fail(self, name: str, reason: str, message: str) -> None:
        """Say that a Job has failed, whatever its pod does."""
        job = self.server.send("GET", f"{self._jobs}/{name}").body
        uid = job["metadata"]["uid"]
        if uid in self._by_uid:
            self._kill(self._by_uid[uid])
        self._ended.add(uid)
        self._failed(job, _now(), reason, message)

    def evict(self, name: str, message: str) -> None:
        """Take the pod of a Job away, as the eviction of a node that is drained does: its process
        ends, the pod goes, and only then the Job says that it has failed."""
        job = self.server.send("GET", f"{self._jobs}/{name}").body
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        template = job["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{name}-pod",
                "labels": template["metadata"]["labels"],
                "ownerReferences": [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "name": name,
                        "uid": job["metadata"]["uid"],
                        "controller": True,
                    }
                ],
            },
            "spec": template["spec"],
        }
        made = self.server.send("POST", pods, pod)
        assert made.status == 201, made.message
        told = _condition("DisruptionTarget", "EvictionByEvictionAPI", message, _now())
        del told["lastProbeTime"]
        status = self.server.http.patch(
            f"{pods}/{name}-pod/status",
            json={"status": {"phase": "Running", "conditions": [told]}},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert status.status_code == 200, status.text
        uid = job["metadata"]["uid"]
        self._ended.add(uid)
        if uid in self._by_uid:
            self._kill(self._by_uid[uid])

    def evicted(self, name: str) -> None:
        """The pod that was taken away is gone, and the controller has seen it."""
        self.server.send("DELETE", f"/api/v1/namespaces/{self.namespace}/pods/{name}-pod")
        job = self.server.send("GET", f"{self._jobs}/{name}")
        if job.status == 200:
            said = "Job has reached the specified backoff limit"
            self._failed(job.body, _now(), "BackoffLimitExceeded", said)

    def _start(self, job: dict[str, Any]) -> Ran:
        container = job["spec"]["template"]["spec"]["containers"][0]
        pod = f"pod-{uuid.uuid4().hex[:8]}"
        environment: dict[str, str] = {}
        for source in container.get("envFrom") or ():
            environment.update(self.secrets[source["secretRef"]["name"]])
        for each in container["env"]:
            environment[each["name"]] = self._value(each, pod)
        environment.update(self.extra)
        if crash := self.crashes.get(job["metadata"]["name"]):
            environment[VARIABLE] = crash
        command = tuple(container["command"])
        if self.alone and "--then" in command:
            command = command[: command.index("--then")]
        log = self.folder / f"{job['metadata']['name']}.log"
        process = context.Process(
            target=run_here if command[0] == "wayfare" else _run_program,
            args=(
                command[1:] if command[0] == "wayfare" else command,
                clean_environment(environment),
                log.with_suffix(".out"),
                log,
            ),
        )
        process.start()
        made = Ran(job["metadata"]["name"], command, environment, process, log, _now())
        self.ran.append(made)
        return made

    @staticmethod
    def _late(job: dict[str, Any]) -> bool:
        """Of a program of a user's own: what Wayfare's own tasks do about time is their test's."""
        if job["spec"]["template"]["spec"]["containers"][0]["command"][0] == "wayfare":
            return False
        made = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
        seconds = (datetime.now(UTC) - made).total_seconds()
        return bool(seconds > job["spec"].get("activeDeadlineSeconds", seconds))

    def _value(self, variable: dict[str, Any], pod: str) -> str:
        if "value" in variable:
            return str(variable["value"])
        source = variable["valueFrom"]
        if "secretKeyRef" in source:
            reference = source["secretKeyRef"]
            return self.secrets[reference["name"]][reference["key"]]
        return pod

    def _tell(self, job: dict[str, Any], made: Ran, code: int) -> None:
        if code == 0:
            ended = _now()
            self._write(
                job,
                {
                    "startTime": made.began,
                    "completionTime": ended,
                    "succeeded": 1,
                    "uncountedTerminatedPods": {},
                    "conditions": [
                        _condition("SuccessCriteriaMet", "CompletionsReached", "", ended),
                        _condition("Complete", "CompletionsReached", "", ended),
                    ],
                },
            )
            return
        self._failed(
            job, made.began, "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        )

    def _failed(self, job: dict[str, Any], began: str, reason: str, message: str) -> None:
        ended = _now()
        conditions = [
            _condition(kind, reason, message, ended) for kind in ("FailureTarget", "Failed")
        ]
        status = {"startTime": began, "failed": 1, "uncountedTerminatedPods": {}}
        self._write(job, {**status, "conditions": conditions})

    def _write(self, job: dict[str, Any], status: dict[str, Any]) -> None:
        path = f"{self._jobs}/{job['metadata']['name']}/status"
        response = self.server.http.patch(
            path,
            json={"metadata": {"uid": job["metadata"]["uid"]}, "status": status},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert response.status_code in (200, 404, 409), response.text

    @staticmethod
    def _kill(made: Ran) -> None:
        if made.process.exitcode is None:
            made.process.kill()
        made.process.join(10)


def _run_program(
    command: tuple[str, ...], environment: dict[str, str], out: Path, log: Path
) -> None:
    """Become another program than Wayfare, as a container of a user's own image is."""
    for stream, path in ((1, out), (2, log)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), stream)
    os.execvpe(command[0], command, environment)


def _condition(kind: str, reason: str, message: str, at: str) -> dict[str, str]:
    times = {"lastTransitionTime": at, "lastProbeTime": at}
    return {"type": kind, "status": "True", "reason": reason, "message": message, **times}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def running_jobs(runner: JobRunner) -> Iterator[JobRunner]:
    """The runner in a thread of its own."""
    stop = threading.Event()
    problem: list[BaseException] = []

    def run() -> None:
        try:
            runner.run(stop)
        except BaseException as error:
            problem.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield runner
    finally:
        stop.set()
        thread.join(20)
        runner.stop()
    if problem:
        raise problem[0]
