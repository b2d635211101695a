"""A real Kubernetes API server on its own etcd: processes on loopback, TLS, no anonymous access.

No controllers, scheduler or kubelet: what is written stays as it was written.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers.certificates import Authority, private_pem
from tests.servers.ports import free_port
from tests.servers.require import need
from tests.servers.wait import until

REPOSITORY = Path(__file__).parents[2]
CRDS = REPOSITORY / "crds"
MISSING = (
    "no API server: run `wayfare lab build`, or let KUBEBUILDER_ASSETS name a folder with etcd, "
    "kube-apiserver and kubectl"
)
ISSUER = "https://kubernetes.default.svc"
PROGRAMS = ("etcd", "kube-apiserver", "kubectl")


def cluster_binaries() -> dict[str, list[str]] | None:
    """How to call etcd, kube-apiserver and kubectl, or None when the machine has them nowhere.

    KUBEBUILDER_ASSETS first, then the newest of the lab's builds in the cache.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and all((Path(assets) / each).exists() for each in PROGRAMS):
        return {each: [str(Path(assets) / each)] for each in PROGRAMS}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = sorted(
        (cache / "wayfare" / "bin").glob("*/wayfare-cluster"),
        key=lambda path: path.stat().st_mtime,
    )
    if built and platform.system() == "Linux":
        return {each: [str(built[-1]), each] for each in PROGRAMS}
    return None


@dataclass(frozen=True)
class Answer:
    """What the API server answered to one request."""

    status: int
    body: dict[str, Any]
    warnings: tuple[str, ...]

    @property
    def message(self) -> str:
        """The message of a refusal."""
        return str(self.body.get("message", ""))


class ApiServer:
    """A running API server, and ways to talk to it as its administrator."""

    def __init__(
        self, folder: Path, url: str, authority: Authority, kubectl: Sequence[str]
    ) -> None:
        self.folder = folder
        self.url = url
        self.authority = authority
        self.audit_log = folder / "audit.log"
        self._kubectl = tuple(kubectl)
        certificate, key = authority.issue("admin", user="admin", groups=("system:masters",))
        context = ssl.create_default_context(cafile=str(authority.certificate))
        context.load_cert_chain(certificate, key)
        self.http = httpx.Client(base_url=url, verify=context, timeout=30)
        self.kubeconfig = self._write_kubeconfig("admin", certificate, key)

    def user_kubeconfig(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """A kubeconfig by which a program acts as `user`, with what RBAC gives it."""
        name = user.replace(":", "-")
        return self._write_kubeconfig(name, *self.authority.issue(name, user=user, groups=groups))

    def kubectl(
        self,
        *arguments: str,
        stdin: str | None = None,
        check: bool = True,
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl; with `check` a failure is an AssertionError that says what it said."""
        done = subprocess.run(
            [*self._kubectl, "--kubeconfig", str(kubeconfig or self.kubeconfig), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            # Its discovery cache belongs to this server, not to the person's home.
            env={**os.environ, "KUBECACHEDIR": str(self.folder / "kubectl-cache")},
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done

    def send(
        self,
        method: str,
        path: str,
        obj: Mapping[str, Any] | None = None,
        *,
        user: str | None = None,
        **query: str,
    ) -> Answer:
        """One request with an object as JSON; with `user` in that user's name and rights."""
        headers = {} if user is None else {"Impersonate-User": user}
        response = self.http.request(method, path, json=obj, params=query, headers=headers)
        return _answer(response)

    def apply(self, path: str, obj: Mapping[str, Any], *, manager: str) -> Answer:
        """Server-side apply of the object at its path."""
        response = self.http.patch(
            path,
            content=json.dumps(obj).encode(),
            params={"fieldManager": manager},
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        return _answer(response)

    def make_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Make a namespace, unless it exists, and return its name."""
        answer = self.send(
            "POST",
            "/api/v1/namespaces",
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": dict(labels or {})},
            },
        )
        assert answer.status in (201, 409), answer.message
        return name

    def install_crds(self, folder: Path = CRDS) -> None:
        """Make the kinds known, and wait until the API serves and documents all of them.

        The OpenAPI document, from which `kubectl explain` reads, follows the kinds a moment later,
        one kind at a time.
        """
        names = []
        for file in sorted(folder.glob("*.yaml")):
            crd = yaml.safe_load(file.read_text(encoding="utf-8"))
            names.append(crd["metadata"]["name"])
            base = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            answer = self.apply(f"{base}/{names[-1]}", crd, manager="tests")
            assert answer.status in (200, 201), answer.message
        for name in names:
            plural, _, group = name.partition(".")
            until(
                lambda plural=plural, group=group: (  # type: ignore[misc]
                    self.send("GET", f"/apis/{group}/v1alpha1/{plural}").status == 200
                ),
                what=f"the API serves {name}",
            )
            until(
                lambda plural=plural, group=group: (  # type: ignore[misc]
                    f"/apis/{group}/v1alpha1/{plural}"
                    in self.send("GET", f"/openapi/v3/apis/{group}/v1alpha1").body.get("paths", {})
                ),
                what=f"the API documents {name}",
            )

    def _write_kubeconfig(self, name: str, certificate: Path, key: Path) -> Path:
        path = self.folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
                    "clusters": [
                        {
                            "name": "test",
                            "cluster": {
                                "server": self.url,
                                "certificate-authority": str(self.authority.certificate),
                            },
                        }
                    ],
                    "users": [
                        {
                            "name": name,
                            "user": {
                                "client-certificate": str(certificate),
                                "client-key": str(key),
                            },
                        }
                    ],
                }
            ),
            encoding="utf-8",
        )
        return path


def _answer(response: httpx.Response) -> Answer:
    warnings = tuple(
        # 299 - "unknown field \"spec.x\""
        value.partition('"')[2].rstrip('"').replace('\\"', '"')
        for value in response.headers.get_list("Warning", split_commas=False)
    )
    # A path that the server does not know yet is answered in plain text.
    is_json = response.headers.get("Content-Type", "").startswith("application/json")
    body = response.json() if is_json else {"message": response.text}
    return Answer(response.status_code, body, warnings)


@contextlib.contextmanager
def running_apiserver(folder: Path, extra_flags: Sequence[str] = ()) -> Iterator[ApiServer]:
    """An API server with nothing installed, its files in `folder`, gone at the end."""
    programs = cluster_binaries()
    need(programs, MISSING)
    assert programs is not None
    authority = Authority(folder)
    certificate, key = authority.issue("server", user="kube-apiserver", server=True)
    etcd_url, peer_url = (f"https://127.0.0.1:{free_port()}" for _ in range(2))
    port = free_port()
    with contextlib.ExitStack() as running:
        etcd = _etcd_flags(folder, authority, certificate, key, etcd_url, peer_url)
        running.enter_context(_process(folder / "etcd.log", [*programs["etcd"], *etcd]))
        flags = _apiserver_flags(folder, authority, certificate, key, etcd_url, port)
        process = running.enter_context(
            _process(
                folder / "kube-apiserver.log",
                [*programs["kube-apiserver"], *flags, *extra_flags],
            )
        )
        server = ApiServer(folder, f"https://127.0.0.1:{port}", authority, programs["kubectl"])
        running.callback(server.http.close)

        def ready() -> bool:
            assert process.poll() is None, (folder / "kube-apiserver.log").read_text()[-4000:]
            return (
                server.http.get("/readyz").status_code == 200
                and server.http.get("/api/v1/namespaces/default").status_code == 200
            )

        until(ready, seconds=60, what="the API server is ready", ignoring=(httpx.HTTPError,))
        yield server


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One API server for the whole session, with Wayfare's kinds installed."""
    with running_apiserver(tmp_path_factory.mktemp("apiserver")) as server:
        server.install_crds()
        yield server


def _etcd_flags(
    folder: Path, authority: Authority, certificate: Path, key: Path, url: str, peer_url: str
) -> list[str]:
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        f"--trusted-ca-file={authority.certificate}",
        f"--cert-file={certificate}",
        f"--key-file={key}",
        "--client-cert-auth=true",
        f"--peer-trusted-ca-file={authority.certificate}",
        f"--peer-cert-file={certificate}",
        f"--peer-key-file={key}",
        "--peer-client-cert-auth=true",
        "--unsafe-no-fsync=true",
        "--log-level=warn",
    ]


def _apiserver_flags(
    folder: Path, authority: Authority, certificate: Path, key: Path, etcd_url: str, port: int
) -> list[str]:
    account_key = folder / "service-account.key"
    account_key.touch(mode=0o600)
    account_key.write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
    audit_policy = folder / "audit-policy.yaml"
    audit_policy.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "audit.k8s.io/v1",
                "kind": "Policy",
                "omitStages": ["RequestReceived"],
                "rules": [{"level": "Metadata"}],
            }
        ),
        encoding="utf-8",
    )
    return [
        f"--etcd-servers={etcd_url}",
        f"--etcd-cafile={authority.certificate}",
        f"--etcd-certfile={certificate}",
        f"--etcd-keyfile={key}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--client-ca-file={authority.certificate}",
        "--anonymous-auth=false",
        "--authorization-mode=RBAC",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={account_key}",
        f"--service-account-signing-key-file={account_key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        # Without the controller that makes default service accounts, no pod could be made.
        "--disable-admission-plugins=ServiceAccount",
        f"--audit-policy-file={audit_policy}",
        f"--audit-log-path={folder / 'audit.log'}",
    ]


@contextlib.contextmanager
def _process(log: Path, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to `log`; it dies with this one, however that ends."""
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("wb") as output:
        process = subprocess.Popen([*guard, *command], stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
