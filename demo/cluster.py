"""The cluster of the demo: the lab's site, or any that a kubeconfig leads to."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demo.steps import TOP, WAYFARE, StepFailed, Steps, looks

SITE = "east"
RELEASE = "wayfare"
SYSTEM = "wayfare-system"
NAMESPACE = "bank"
ENGINE = "retail"
EXAMPLES = TOP / "examples" / "bank"


def lab_impossible() -> str | None:
    """Why no lab can be had here, in a few words; None when one may."""
    if sys.platform != "linux":
        return "this is not Linux"
    if os.geteuid() != 0:
        return "this is not root"
    return None


@dataclass
class Cluster:
    """kubectl, helm and `wayfare` pointed at one cluster, which is the site of this name."""

    steps: Steps
    kubeconfig: str
    site: str = SITE

    @property
    def environment(self) -> dict[str, str]:
        """Of a command that works on this cluster."""
        return {**self.steps.environment, "KUBECONFIG": self.kubeconfig}

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`Steps.run`, on this cluster."""
        return self.steps.run(*command, extra={"KUBECONFIG": self.kubeconfig}, **options)

    def kubectl(self, *arguments: str, **options: Any) -> str:
        """Run kubectl; returns what it printed."""
        return str(self.run("kubectl", *arguments, **options).stdout)

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, decoded."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def install(self, reference: str, *, recovery: bool = False) -> None:
        """The chart, with this image, serving the bank's namespace. `recovery`: the operator is
        given the object store, by a Secret that is there already."""
        repository, _, tag = reference.rpartition(":")
        self.namespace(NAMESPACE)
        self.end_interrupted_install()
        self.run(
            *("helm", "upgrade", "--install", RELEASE, str(TOP / "helm" / "wayfare")),
            *("--namespace", SYSTEM, "--create-namespace", "--wait", "--timeout", "5m"),
            # What an earlier run gave the operator stays.
            "--reset-then-reuse-values",
            *("--set-string", f"image.repository={repository}", "--set-string", f"image.tag={tag}"),
            *("--set", f"namespaces={{{NAMESPACE}}}", "--set", f"site={self.site}"),
            *(("--set", "recovery.objectStore.secretName=recovery") if recovery else ()),
        )
        self.kubectl(
            *("wait", "--for=condition=Established", "--timeout=60s"),
            *(f"crd/{plural}.wayfare.dev" for plural in PLURALS),
        )

    def end_interrupted_install(self) -> None:
        """What a helm that was killed left: helm itself refuses to go on from there."""
        found = self.run("helm", "list", "-n", SYSTEM, "--pending", "-o", "json").stdout
        for release in json.loads(found):
            if release["name"] != RELEASE:
                continue
            if release["status"] == "pending-install":
                self.run("helm", "uninstall", RELEASE, "-n", SYSTEM, "--wait")
            else:
                self.run("helm", "rollback", RELEASE, "-n", SYSTEM, "--wait")

    def namespace(self, name: str) -> None:
        """Make a namespace unless it is there."""
        if not self.kubectl("get", "namespace", name, "--ignore-not-found", "-o", "name"):
            self.kubectl("create", "namespace", name)

    def apply_rest(self) -> None:
        """All of the bank but its Engine; a second time puts back what the demo edited."""
        files = [str(file) for file in sorted(EXAMPLES.glob("*.yaml")) if file.stem != "engine"]
        self.kubectl("apply", *(word for file in files for word in ("-f", file)))

    def apply_engine(self) -> None:
        """The bank's Engine; an object store that it journals to already stays."""
        manifest: dict[str, Any] = yaml.safe_load((EXAMPLES / "engine.yaml").read_text())
        shown = self.kubectl(
            *("-n", NAMESPACE, "get", "engine.wayfare.dev", ENGINE, "--ignore-not-found"),
            *("-o", "json"),
        )
        if shown.strip():
            store = json.loads(shown)["spec"]["stores"].get("objectStore")
            if store is not None:
                manifest["spec"]["stores"]["objectStore"] = store
        self.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))

    def journal_to_vault(self) -> None:
        """Have the engine journal to the lab's object store, so that each send's dispatch is there
        before anything leaves."""
        shown = json.loads(self.steps.run(WAYFARE, "lab", "status", "--json").stdout)
        keys = json.loads(Path(shown["s3_credentials"]).read_text())
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "vault", "namespace": NAMESPACE},
            "stringData": {
                "AWS_ACCESS_KEY_ID": keys["access_key"],
                "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
                "AWS_ENDPOINT_URL": "http://vault.lab:8333",
                "AWS_REGION": "us-east-1",
            },
        }
        self.kubectl("apply", "-f", "-", stdin=json.dumps(secret), secret=True)
        store = {"url": f"s3://{keys['bucket']}/{ENGINE}", "secretName": "vault"}
        patch = {"spec": {"stores": {"objectStore": store}}}
        self.kubectl(
            *("-n", NAMESPACE, "patch", "engine.wayfare.dev", ENGINE, "--type=merge"),
            *("-p", json.dumps(patch)),
        )

    def wait_ready(self, *objects: str, seconds: int = 240) -> None:
        """Wait until everything of these kinds (or names) is Ready; tells which is not and why."""
        for obj in objects:
            which = [obj] if "/" in obj else [obj, "--all"]
            try:
                self.kubectl(
                    *("wait", "-n", NAMESPACE, "--for=condition=Ready", f"--timeout={seconds}s"),
                    *which,
                    timeout=seconds + 30,
                )
            except StepFailed:
                raise StepFailed(
                    f"not Ready after {seconds} s:\n{self.not_ready(obj)}",
                    look=f"kubectl -n {NAMESPACE} get wayfare,pods; "
                    f"kubectl -n {SYSTEM} logs deploy/{RELEASE}-operator",
                ) from None

    def wait_rolled_out(self, reference: str, *, seconds: int = 300) -> None:
        """Wait until every workload of the engine runs this image, and nothing else of it does.

        An operator of another version gives its image to engines a moment after it started.
        """
        selector = ("-l", f"wayfare.dev/engine={ENGINE}")
        images: set[str] = set()
        for _ in looks(seconds, every=0.5):
            items = self.get("-n", NAMESPACE, "deployments,statefulsets", *selector)["items"]
            images = {
                container["image"]
                for item in items
                for container in item["spec"]["template"]["spec"]["containers"]
            }
            if images == {reference}:
                break
        else:
            raise StepFailed(
                f"the operator has not given {reference} to the engine in {seconds} s, "
                f"but {', '.join(sorted(images)) or 'made nothing'}",
                look=f"kubectl -n {SYSTEM} logs deploy/{RELEASE}-operator",
            )
        for kind in ("statefulsets", "deployments"):
            self.kubectl(
                *("-n", NAMESPACE, "rollout", "status", kind, *selector),
                f"--timeout={seconds}s",
                timeout=seconds + 30,
            )

    def not_ready(self, obj: str) -> str:
        """The objects that are not Ready, each with its reason and message."""
        found = self.get("-n", NAMESPACE, obj)
        lines = []
        for item in found.get("items", [found]):
            ready = condition(item, "Ready")
            if ready.get("status") != "True":
                name = item["metadata"]["name"]
                lines.append(
                    f"  {item['kind']} {name}: {ready.get('reason', 'not looked at yet')}: "
                    f"{ready.get('message', '')}"
                )
        return "\n".join(lines)

    def serve_pods(self) -> list[dict[str, Any]]:
        """The engine's serve pods that are not on their way out."""
        items = self.get(
            *("-n", NAMESPACE, "pods", "-l"),
            f"wayfare.dev/engine={ENGINE},app.kubernetes.io/component=serve",
        )["items"]
        return [item for item in items if "deletionTimestamp" not in item["metadata"]]

    def segments(self) -> list[dict[str, Any]]:
        """Name and size of each segment."""
        return [
            {"name": item["metadata"]["name"], "size": item.get("status", {}).get("size")}
            for item in self._segments()
        ]

    def segment_times(self) -> dict[str, str]:
        """For each segment that was computed, when its customers were looked at."""
        return {
            item["metadata"]["name"]: item["status"]["asOf"]
            for item in self._segments()
            if item.get("status", {}).get("asOf")
        }

    def wait_computed(self, before: dict[str, str], *, seconds: int = 180) -> None:
        """Wait until every segment's size is newer than it was `before`."""
        for _ in looks(seconds, every=1.0):
            if all(self.segment_times().get(name) != then for name, then in before.items()):
                return
        raise StepFailed(f"segments were not computed anew within {seconds} s")

    def _segments(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get("-n", NAMESPACE, "segments.wayfare.dev")["items"]
        return items


PLURALS = ("engines", "segments", "journeys", "channels")


def condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    """A condition of an object; empty when it has none of that type."""
    found: list[dict[str, Any]] = obj.get("status", {}).get("conditions", [])
    return next((item for item in found if item["type"] == kind), {})


def find_tools(steps: Steps) -> None:
    """Put kubectl and helm on the PATH: the machine's own, or those that the lab builds."""
    if all(shutil.which(tool, path=steps.environment.get("PATH")) for tool in ("kubectl", "helm")):
        return
    folder = steps.run(WAYFARE, "lab", "tools", show=True, timeout=1800).stdout.strip()
    steps.environment["PATH"] = f"{folder}{os.pathsep}{steps.environment.get('PATH', '')}"


def lab_site(steps: Steps, site: str = SITE) -> Cluster:
    """Bring up a site of the lab; StepFailed with `lacking` when the machine cannot."""
    steps.run(WAYFARE, "lab", "up", "--sites", site, show=True, timeout=1800)
    path = steps.run(WAYFARE, "lab", "kubeconfig", site, "--path").stdout.strip()
    find_tools(steps)
    return Cluster(steps, path, site)


def given_cluster(steps: Steps, kubeconfig: Path) -> Cluster:
    """Any cluster, by its kubeconfig."""
    if not kubeconfig.is_file():
        raise StepFailed(f"there is no kubeconfig at {kubeconfig}")
    find_tools(steps)
    cluster = Cluster(steps, str(kubeconfig.resolve()))
    version = json.loads(cluster.kubectl("version", "-o", "json"))["serverVersion"]
    minor = int("".join(filter(str.isdigit, version["minor"])))
    if (int(version["major"]), minor) < (1, 34):
        raise StepFailed(f"the cluster runs Kubernetes {version['gitVersion']}; 1.34 is needed")
    return cluster


def build_image(steps: Steps) -> str:
    """Build the image unless it is built; returns its reference."""
    made = steps.run(str(TOP / "scripts" / "image"), show=True, timeout=1800)
    return made.stdout.strip().splitlines()[-1]


def load_image(cluster: Cluster, reference: str, load: str | None) -> None:
    """Bring the image onto the cluster's nodes: by the given command, or into the lab's site."""
    command = shlex.split(load) if load else [WAYFARE, "lab", "load-image", "--site", cluster.site]
    if command[0] == "wayfare":
        command[0] = WAYFARE
    cluster.run(*command, reference, timeout=900)
