"""Playing a schedule on the harness, and bringing the run to rest afterwards."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg

from tests.chaos.schedule import Step
from tests.harness.sites import ROLES, SITES, Run
from tests.servers.faults import Fault
from tests.servers.faultstore import Answer, Cut, Delay, Drop, Hold
from tests.servers.receivers import Dedupe, FaultKind
from tests.servers.receivers import Fault as HostFault
from tests.servers.wait import until

_TICK = 0.02


@dataclass
class Player:
    """Does the steps of a schedule at their times, and starts again what died of a crash point."""

    run: Run
    acting: str = ""
    wiped: set[str] = field(default_factory=set)
    _taking: str | None = None
    _later: list[tuple[float, str, str]] = field(default_factory=list)
    _starting: list[threading.Thread] = field(default_factory=list)

    def play(self, steps: list[Step]) -> None:
        """All of them."""
        self.first(str(steps[0].arguments[0]))
        began = time.monotonic()
        for step in steps[1:]:
            while (left := began + step.at - time.monotonic()) > 0:
                self._supervise()
                time.sleep(min(left, _TICK))
            getattr(self, step.do)(*step.arguments)
            if step.do == "take":
                # What follows is meant for a site that acts: its times count from then on.
                waiting = time.monotonic()
                self._until_taken()
                began += time.monotonic() - waiting
        self._until_taken()

    def rest(self) -> None:
        """Heal everything; wait until every send has ended and every row is in the journal."""
        run = self.run
        run.faults.heal()
        run.faults.release()
        for receiver in run.receivers.values():
            receiver.calm()
        for thread in self._starting:
            thread.join()
        for each in run.processes.values():
            each.resume()
        other = next(site for site in SITES if site != self.acting)
        run.sites.postgresql[other].start_again()
        run.restore_servers(self.acting)
        self._later.clear()
        for name, _ in ROLES:
            process = run.processes.get((self.acting, name))
            if process is None or not process.alive:
                run.start(self.acting, name)
        self._end("writer")
        self._until_all_is_done()
        for left in run.of(other):
            left.kill()

    def work(self) -> None:
        """At rest: start the acting site's sealer and senders again, until it is at rest again."""
        for name in ("sealer", "sender-1", "sender-2"):
            self.run.start(self.acting, name, epoch=self.run.epoch)
        self._until_all_is_done()

    def _until_all_is_done(self) -> None:
        run = self.run
        until(self._all_ended, seconds=120, what="every send has an outcome", every=0.1)
        for name in ("sender-1", "sender-2"):
            while not self._end(name):
                run.start(self.acting, name, epoch=run.epoch)
                until(self._all_ended, seconds=120, what="every send has an outcome", every=0.1)
        until(self._all_sealed, seconds=20, what="every row is in the journal", every=0.1)
        self._end("sealer")

    def _end(self, name: str) -> bool:
        """End a process for good; whether it did so without dying of its crash point."""
        process = self.run.processes.pop((self.acting, name))
        process.end()
        return not process.crashed

    # Steps.

    def first(self, site: str) -> None:
        self.take(site, None)
        self._until_taken()

    def take(self, site: str, crash: str | None) -> None:
        self._taking = site
        self.run.restore_servers(site)
        self.run.take_over(site, crash=crash)

    def kill(self, site: str, name: str, seconds: float) -> None:
        process = self.run.processes.get((site, name))
        if process is not None:
            process.kill()
            self._later.append((time.monotonic() + seconds, site, name))

    def suspend(self, site: str, name: str) -> None:
        self.run.processes[site, name].suspend()

    def resume(self, site: str, name: str) -> None:
        self.run.processes[site, name].resume()

    def crash(self, site: str, name: str, point: str) -> None:
        if site == self.acting:
            self.run.start(site, name, crash=point)

    def cut(self, site: str, how: str) -> None:
        self.run.faults.partition(site, how=how)  # type: ignore[arg-type]

    def heal(self, site: str) -> None:
        self.run.faults.heal(site)

    def store_fault(self, site: str, kind: str, where: str, times: int, seconds: float) -> None:
        faults: dict[str, Fault] = {
            "delay": Delay(seconds),
            "refuse": Answer(503, "SlowDown"),
            "drop": Drop(silent=seconds > 0.5),
            "cut": Cut(middle=seconds > 0.5),
            # The longest come into effect when all else is over, as if minutes had passed.
            "hold": Hold(seconds if seconds < 1.0 else None),
        }
        # Only a write can take effect late; a read that is held is a read that is lost.
        methods = "PUT" if kind in ("drop", "hold") else ""
        self.run.faults.rule(site, faults[kind], methods=methods, path=where, times=times)

    def receiver_fault(self, kind: Dedupe, fault: FaultKind, times: int, seconds: float) -> None:
        self.run.receivers[kind].fail(HostFault(fault, times, seconds))

    def refuse(self, kind: Dedupe) -> None:
        self.run.receivers[kind].refuse()

    def listen(self, kind: Dedupe) -> None:
        self.run.receivers[kind].listen()

    def restart_host(self, kind: Dedupe) -> None:
        self.run.receivers[kind].restart()

    def lose(self, site: str) -> None:
        self.run.kill_site(site)
        self._later = [later for later in self._later if later[1] != site]

    def new_disk(self, site: str) -> None:
        self.lose(site)
        self.run.replace_disk(site)
        self.wiped.add(site)

    def crash_postgresql(self, site: str, seconds: float) -> None:
        self.run.sites.postgresql[site].kill()
        # A server takes a second to start, and meanwhile the schedule goes on. Its process would
        # end with the thread that started it, so only the pause is in another one.
        self._later.append((time.monotonic() + seconds, site, "postgresql"))

    # Steps that wait for a fact; a schedule that is written out uses them.

    def until_stopped(self, site: str, name: str) -> None:
        process = self.run.processes[site, name]
        until(lambda: process.stopped, what=f"{name} of {site} stopped", every=_TICK)

    def until_handed_over(self, site: str) -> None:
        """A hand-over of the site's present epoch started."""
        epoch = self.run.epoch

        def started() -> bool:
            self._supervise()
            found = [r for receiver in self.run.receivers.values() for r in receiver.records()]
            return any((r.what, r.site, r.epoch) == ("start", site, epoch) for r in found)

        until(started, what=f"{site} hands over", every=_TICK)

    def until_written(self, site: str, times: int) -> None:
        """The site's writers have written so often."""
        file = self.run.folder / f"acknowledged-{site}.jsonl"

        def written() -> bool:
            self._supervise()
            return file.exists() and len(file.read_text().splitlines()) >= times

        until(written, seconds=60, what=f"{site} has written {times} times", every=_TICK)

    # What goes on between them.

    def _supervise(self) -> None:
        due = [later for later in self._later if later[0] <= time.monotonic()]
        self._later = [later for later in self._later if later not in due]
        for _, site, name in due:
            if name == "postgresql":
                self.run.sites.postgresql[site].start_again()
            else:
                self.run.start(site, name)
        for (site, name), process in list(self.run.processes.items()):
            # A taker has its own: `_until_taken` starts it until the site may act.
            if site == self.acting and name != "taker" and process.crashed:
                self.run.start(site, name)

    def _until_taken(self) -> None:
        site, self._taking = self._taking, None
        if site is None:
            return

        def taken() -> bool:
            self._supervise()
            process = self.run.processes[site, "taker"]
            if process.alive:
                return False
            if process.exit_code != 0:
                self.run.take_over(site)
                return False
            return True

        until(taken, seconds=60, what=f"{site} may act", every=_TICK)
        self.acting = site
        self.run.start_site(site)
        # On a busy machine processes take their time, and faults are for sites that are at work.
        until(self._at_work, seconds=60, what=f"{site} writes", every=_TICK)

    def _at_work(self) -> bool:
        """A row of the epoch is acknowledged."""
        self._supervise()
        epoch = self.run.processes[self.acting, "writer"].settings.epoch
        file = self.run.folder / f"acknowledged-{self.acting}.jsonl"
        return file.exists() and f'"epoch": {epoch},' in file.read_text()

    def _all_ended(self) -> bool:
        """No send is in doubt, and none could have its turn but for the cap."""
        self._supervise()
        with psycopg.connect(self.run.dsn(self.acting)) as connection:
            found = connection.execute(
                "SELECT count(*) FROM wayfare.outbox o LEFT JOIN wayfare.send_holds h "
                "USING (send_key) WHERE o.due IS NOT NULL "
                "AND o.outcome IS DISTINCT FROM 'Accepted' "
                "AND (o.attempt > o.outcome_attempt OR ((o.outcome IS NULL "
                "OR o.outcome IN ('NotAccepted', 'Held')) "
                "AND (h.until IS NULL OR h.until < now() + %s)))",
                (timedelta(minutes=1),),
            ).fetchone()
        return found is not None and found[0] == 0

    def _all_sealed(self) -> bool:
        # A crash point may be reached as late as now.
        self._supervise()
        with psycopg.connect(self.run.dsn(self.acting)) as connection:
            found = connection.execute(
                "SELECT count(*) FROM wayfare.ledger WHERE epoch = (SELECT epoch FROM "
                "wayfare.site_epoch) AND tx > coalesce((SELECT max(to_tx) FROM "
                "wayfare.seal_intents WHERE sealed_at IS NOT NULL AND epoch = (SELECT epoch FROM "
                "wayfare.site_epoch)), '0')"
            ).fetchone()
        return found is not None and found[0] == 0
