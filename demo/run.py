"""`make demo`: a Kubernetes site, the operator, an engine, customers, decisions, an edit.

    python -m demo.run [--customers FILE] [--cluster KUBECONFIG [--load COMMAND]] [--json FILE]

Everything in it is real. Where neither a lab nor a cluster can be had, the same compiler and
engine run as one process (`demo.process`), and the demo says so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import webbrowser
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from demo.asking import Answers, Caller, caller, questions
from demo.campaign import run as campaign
from demo.cluster import (
    ENGINE,
    NAMESPACE,
    Cluster,
    build_image,
    given_cluster,
    lab_impossible,
    lab_site,
    load_image,
)
from demo.customers import write as write_customers
from demo.failing import keep_what_there_is
from demo.keys import make_key
from demo.process import JOURNEY, NODE, run_as_process
from demo.reach import engine_url
from demo.recovery import run as recovery
from demo.recovery.sites import Vault
from demo.report import Result, show, write
from demo.steps import TOP, WAYFARE, StepFailed, Steps

ASKED = 5_000
RELOAD_SECONDS = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    arguments = _arguments(argv)
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 120
    steps = Steps(console, TOP / "build" / "demo.log")
    began = time.monotonic()
    try:
        result, by_slot, kubeconfig = _run(arguments, steps)
    except StepFailed as failed:
        console.print(f"\n{steps.current}: failed. {failed}", markup=False, style="red")
        keep_what_there_is(steps)
        if failed.look:
            console.print(f"Look at: {failed.look}", markup=False)
        console.print(
            f"Every command and what it said, and the sites' logs: {steps.log}", markup=False
        )
        console.print("`make demo-down` removes what there is; running it again is safe.")
        return 3 if failed.lacking else 1
    except KeyboardInterrupt:
        console.print("\nstopped; `make demo-down` removes what there is")
        return 130
    console.print()
    show(result, by_slot, console)
    write(result, arguments.json)
    console.print(
        f"\n{arguments.json} written, {time.monotonic() - began:.0f} s in all", markup=False
    )
    if result.recovery is not None:
        _show_pages(console)
    if kubeconfig is not None:
        console.print(
            f"It goes on running: kubectl -n {NAMESPACE} get wayfare  "
            f"(KUBECONFIG={kubeconfig}). `make demo-down` removes it.",
            markup=False,
        )
    return 0


def _show_pages(console: Console) -> None:
    """Where the runs' reports are; the failover's is opened where somebody can look at it."""
    for kind, page in recovery.PAGES.items():
        console.print(f"report of the {kind}: {page}", markup=False)
    desktop = sys.platform == "darwin" or os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}
    if console.is_terminal and desktop:
        webbrowser.open(recovery.PAGES["failover"].as_uri())


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.run", description="The demo.")
    parser.add_argument("--customers", type=Path, help="CSV or Parquet; else they are generated")
    parser.add_argument("--cluster", type=Path, metavar="KUBECONFIG", help="instead of the lab")
    parser.add_argument("--load", help="command that brings an image onto the cluster's nodes")
    parser.add_argument("--json", type=Path, default=TOP / "build" / "demo.json")
    parser.add_argument("--sends", type=int, default=campaign.SENDS, help="of the campaign")
    parser.add_argument("--process", action="store_true", help="one process, even if a lab can be")
    arguments = parser.parse_args(argv)
    if arguments.customers is not None and not arguments.customers.is_file():
        parser.error(f"there is no file {arguments.customers}")
    if not 100 <= arguments.sends <= 100_000:
        parser.error("--sends is from 100 to 100,000")
    if arguments.load and arguments.cluster is None:
        parser.error("--load belongs to --cluster")
    return arguments


def _run(
    arguments: argparse.Namespace, steps: Steps
) -> tuple[Result, dict[str, Counter[str]], str | None]:
    """What is to be shown, and the kubeconfig of what goes on running."""
    customers = _customers(arguments.customers, steps)
    why = "--process was given" if arguments.process else None
    if why is None and arguments.cluster is None:
        why = lab_impossible()
    if why is None:
        try:
            cluster = _cluster(arguments.cluster, steps)
        except StepFailed as failed:
            if arguments.cluster is not None or not failed.lacking:
                raise
            why = str(failed)
        else:
            return *_on_cluster(cluster, customers, arguments, steps), cluster.kubeconfig
    return *run_as_process(steps, customers, why, asked=ASKED), None


def _customers(given: Path | None, steps: Steps) -> Path:
    if given is not None:
        return given.resolve()
    path = TOP / "build" / "customers.csv"
    with steps.step("customers") as note:
        if path.exists():
            note.text = "45,211 generated before, from published marginals"
        else:
            write_customers(path)
            note.text = "45,211 generated, from published marginals"
    return path


def _cluster(kubeconfig: Path | None, steps: Steps) -> Cluster:
    with steps.step("cluster", quiet=False) as note:
        cluster = given_cluster(steps, kubeconfig) if kubeconfig else lab_site(steps)
        version = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]
        where = "as given" if kubeconfig else "the lab's site"
        note.text = f"Kubernetes {version['gitVersion']}, {where}"
    return cluster


def _on_cluster(
    cluster: Cluster, customers: Path, arguments: argparse.Namespace, steps: Steps
) -> tuple[Result, dict[str, Counter[str]]]:
    with steps.step("image", quiet=False) as note:
        reference = build_image(steps)
        note.text = reference
    with steps.step("load image") as note:
        if arguments.cluster is not None and not arguments.load:
            note.text = "no --load given: the nodes must have it or pull it"
        else:
            load_image(cluster, reference, arguments.load)
            note.text = "onto the cluster's node"
    lab = arguments.cluster is None
    with steps.step("chart") as note:
        vault = Vault.of_lab(steps) if lab else None
        signing = recovery.prepare(cluster, vault) if vault is not None else ""
        cluster.install(reference, recovery=lab)
        note.text = "helm upgrade --install wayfare: the operator runs"
    with steps.step("engine") as note:
        cluster.apply_engine()
        if lab:
            cluster.journal_to_vault()
        cluster.wait_rolled_out(reference)
        cluster.wait_ready(f"engine/{ENGINE}")
        note.text = f"Ready, {len(cluster.serve_pods())} serving pods"
    computed = cluster.segment_times()
    with steps.step("import customers") as note:
        loaded = _import(cluster, customers)
        note.text = f"{loaded['customers']:,} customers ({loaded['added']:,} new)"
    # After the import: a Segment's status shows a new size at most once a minute.
    with steps.step("examples/bank") as note:
        cluster.apply_rest()
        cluster.wait_ready("segments.wayfare.dev", "journeys.wayfare.dev", "channels.wayfare.dev")
        note.text = "segments, journeys and the channel are Ready"
    if computed and loaded["added"] + loaded["changed"]:
        with steps.step("segments anew") as note:
            cluster.wait_computed(computed)
            note.text = "sizes tell of the customers that were imported"
    with steps.step("channels") as note:
        campaign.set_up(cluster, reference, steps, beside_lab=lab)
        note.text = "push and mail, and a receiver that they lead to"
    with steps.step("API key") as note:
        identity, key = make_key(cluster)
        note.text = f"{identity}, for a day"
    with engine_url(cluster) as (url, how):
        answers, seconds, explained = asyncio.run(
            _ask_edit_explain(cluster, url, how, key, loaded["customers"], steps)
        )
        channels = asyncio.run(
            _campaign(cluster, url, key, loaded["customers"], steps, arguments.sends, lab)
        )
    told = None
    if vault is not None:
        other = recovery.second_site(cluster, reference, vault, signing)
        told = recovery.Story(cluster, other, vault, key).run()
    (plan,) = answers.plans()
    result = Result(
        customers=loaded["customers"],
        pods=len(cluster.serve_pods()),
        segments=cluster.segments(),
        decisions=answers.summary(),
        hot_reload_seconds=round(seconds, 3),
        plan_digest=plan,
        explained=explained,
        channels=channels,
        recovery=told,
    )
    return result, answers.by_slot()


def _import(cluster: Cluster, customers: Path) -> dict[str, Any]:
    done = cluster.run(
        *(WAYFARE, "import", "customers", str(customers), "--engine", ENGINE),
        *("-n", NAMESPACE, "--json"),
    )
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


async def _ask_edit_explain(
    cluster: Cluster, url: str, how: str, key: str, customers: int, steps: Steps
) -> tuple[Answers, float, dict[str, Any]]:
    asked = questions(customers, ASKED)
    async with caller(url, f"Bearer {key}") as client:
        with steps.step("pods have everything") as note:
            digest = cluster.get("-n", NAMESPACE, "engine", ENGINE)["status"]["plan"]["digest"]
            await client.until(
                asked[0],
                lambda status, answer: status == 200 and answer["plan"] == digest,
                what="every serving pod has the customers and the plan",
                seconds=60,
            )
            note.text = f"plan {digest[7:19]}, reached by {how}"
        with steps.step("decisions") as note:
            answers = await client.ask_all(asked)
            found = answers.summary()
            note.text = (
                f"{found['served']:,} of {found['requested']:,} served, "
                f"p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms"
            )
        if answers.failures:
            raise StepFailed(f"not every decision was served: {dict(answers.failures)}")
        if len(answers.plans()) != 1:
            raise StepFailed(f"more than one plan answered: {answers.plans()}")
        with steps.step("edit a journey") as note:
            seconds = await _edit(cluster, client, answers)
            note.text = f"{JOURNEY} answered anew after {seconds:.2f} s, no restart"
        with steps.step("explain") as note:
            won = answers.decision_won_by(f"{NAMESPACE}/{JOURNEY}", NODE)
            explained = await client.explain(won or answers.given[0][1]["decision_id"])
            note.text = f"decision {explained['decision_id']}"
    return answers, seconds, explained


async def _campaign(
    cluster: Cluster, url: str, key: str, customers: int, steps: Steps, sends: int, lab: bool
) -> dict[str, Any]:
    async with caller(url, f"Bearer {key}") as client:
        return await campaign.run(cluster, client, customers, steps, beside_lab=lab, sends=sends)


async def _edit(cluster: Cluster, client: Caller, answers: Answers) -> float:
    """Edit a journey with kubectl; seconds from the start of that until every answer is new."""
    shown = answers.won_by(f"{NAMESPACE}/{JOURNEY}", NODE)
    if shown is None:
        raise StepFailed(f"{JOURNEY} won no decision, so an edit of it could not be seen")
    before = {pod["metadata"]["uid"]: _restarts(pod) for pod in cluster.serve_pods()}
    title = f"A term deposit at {3.2 + time.time() % 100 / 100:.2f} %, edited just now"
    path = "/spec/nodes/0/slot/content/title"
    began = time.monotonic()
    patching = asyncio.to_thread(
        cluster.kubectl,
        *("-n", NAMESPACE, "patch", "journey.wayfare.dev", JOURNEY, "--type=json"),
        *("-p", json.dumps([{"op": "replace", "path": path, "value": title}])),
    )
    patched = asyncio.create_task(patching)
    try:
        since = await client.until(
            shown,
            lambda status, answer: (
                status == 200 and (answer["content"] or {}).get("title") == title
            ),
            what="the edited journey is answered",
            seconds=RELOAD_SECONDS,
        )
    finally:
        await patched
    if before != {pod["metadata"]["uid"]: _restarts(pod) for pod in cluster.serve_pods()}:
        raise StepFailed("a serving pod was restarted or replaced by the edit")
    return since - began


def _restarts(pod: dict[str, Any]) -> int:
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses", []))


if __name__ == "__main__":
    sys.exit(main())
