"""Everything that a Channel consists of: the pod that its plugin runs in, and the way there."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import urlsplit

from wayfare_engine.resources import Channel, Engine
from wayfare_operator.desired import pods
from wayfare_operator.desired.facts import Facts
from wayfare_operator.desired.metadata import (
    CHANNEL_HOST,
    CHANNEL_PORT,
    SERVE,
    WORKER,
    channel_labels,
    owner,
    sealed,
    selector,
)
from wayfare_operator.desired.network import DNS, tcp
from wayfare_operator.kube.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)

_CONFIG_FOLDER = "/etc/wayfare/channel"
_SECRETS_FOLDER = "/etc/wayfare/secrets"
_CONFIG_ANNOTATION = "wayfare.dev/config"
#: H: the same as a worker's.
HAND_OVER_SECONDS = 5
_MOST_AT_A_TIME = 10_000
#: Where clouds answer to any pod with credentials of the machine.
_METADATA_SERVICE = "169.254.169.254/32"


def child_name(channel: Channel) -> str:
    """Name of the channel's Deployment, Service and so on."""
    return f"{channel.metadata.name}-channel"


def host_url(channel: Channel) -> str:
    """Where the channel's host speaks the contract; empty where the engine sends by itself."""
    if channel.spec.plugin.built_in:
        return ""
    declared = channel.spec.plugin.url
    if declared is not None:
        return declared
    return f"http://{child_name(channel)}.{channel.metadata.namespace}.svc:{CHANNEL_PORT}"


def channel_children(channel: Channel, engine: Engine, facts: Facts) -> list[Object]:
    """All children, in the order in which they are applied."""
    if channel.spec.plugin.built_in:
        return []
    if channel.spec.plugin.url is not None:
        return [sealed(built) for built in _way_out(channel, engine)]
    return [
        sealed(built)
        for built in (
            _child(channel, SERVICE_ACCOUNT, automountServiceAccountToken=False),
            _child(channel, CONFIG_MAP, data={"config.json": _config(channel)}),
            _service(channel),
            _policy(channel, engine),
            _deployment(channel, engine, facts),
        )
    ]


def _child(channel: Channel, kind: Kind, **fields: object) -> Object:
    metadata = {
        "name": child_name(channel),
        "namespace": channel.metadata.namespace,
        "labels": channel_labels(channel.metadata.name),
        "ownerReferences": [owner(channel)],
    }
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **fields}


def _config(channel: Channel) -> str:
    return json.dumps(channel.spec.plugin.config or {}, sort_keys=True)


def _service(channel: Channel) -> Object:
    port: Object = {"name": "contract", "port": CHANNEL_PORT, "targetPort": CHANNEL_PORT}
    return _child(
        channel,
        SERVICE,
        spec={
            "type": "ClusterIP",
            "selector": selector(channel.metadata.name, CHANNEL_HOST),
            "ports": [{**port, "protocol": "TCP"}],
        },
    )


def _from_engine(engine: Engine) -> list[Object]:
    """The engine's pods, wherever the channel is."""
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": engine.metadata.namespace}}
    return [
        {
            "namespaceSelector": namespace,
            "podSelector": {"matchLabels": selector(engine.metadata.name, component)},
        }
        for component in (WORKER, SERVE)
    ]


def _policy(channel: Channel, engine: Engine) -> Object:
    """In: the engine's pods alone, for hosts ask nobody who they are. Out: to the provider."""
    everywhere: list[Object] = [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": [_METADATA_SERVICE]}},
        {"ipBlock": {"cidr": "::/0"}},
    ]
    return _child(
        channel,
        NETWORK_POLICY,
        spec={
            "podSelector": {"matchLabels": selector(channel.metadata.name, CHANNEL_HOST)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": _from_engine(engine), "ports": tcp(CHANNEL_PORT)}],
            "egress": [DNS, {"to": everywhere}],
        },
    )


def _way_out(channel: Channel, engine: Engine) -> list[Object]:
    """For a program that runs elsewhere: the engine's pods may call its port. A policy counts in
    its own namespace only, so for a channel of another one the engine's people open the way."""
    if channel.metadata.namespace != engine.metadata.namespace:
        return []
    port = urlsplit(host_url(channel)).port or 80
    expression = {"key": "app.kubernetes.io/component", "operator": "In", "values": [WORKER, SERVE]}
    instance = {"app.kubernetes.io/instance": engine.metadata.name}
    return [
        _child(
            channel,
            NETWORK_POLICY,
            spec={
                "podSelector": {"matchLabels": instance, "matchExpressions": [expression]},
                "policyTypes": ["Egress"],
                "egress": [{"ports": tcp(port)}],
            },
        )
    ]


def _deployment(channel: Channel, engine: Engine, facts: Facts) -> Object:
    """One pod: a hand-over carries the clock of the very process that it goes to."""
    spec, name = channel.spec, channel.metadata.name
    secrets = [each.name for each in spec.secret_refs]
    concurrency = min(spec.limits.concurrency * engine.spec.worker.replicas, _MOST_AT_A_TIME)
    alive = {"httpGet": {"path": "/livez", "port": "contract"}}
    ready = {"httpGet": {"path": "/readyz", "port": "contract"}}
    host = pods.container(
        engine,
        facts,
        "host",
        [
            *("wayfare", "channel", "host", "--plugin", spec.plugin.name),
            *("--config", f"{_CONFIG_FOLDER}/config.json", "--secrets-dir", _SECRETS_FOLDER),
            *("--host", "0.0.0.0", "--port", str(CHANNEL_PORT)),  # noqa: S104 - a pod's own
            *("--hand-over-seconds", str(HAND_OVER_SECONDS), "--concurrency", str(concurrency)),
            *(word for secret in secrets for word in ("--require-secret", secret)),
        ],
        env=[{"name": "HOME", "value": "/tmp"}],  # noqa: S108
        mounts=[
            {"name": "config", "mountPath": _CONFIG_FOLDER, "readOnly": True},
            {"name": "secrets", "mountPath": _SECRETS_FOLDER, "readOnly": True},
        ],
        ports=[{"name": "contract", "containerPort": CHANNEL_PORT, "protocol": "TCP"}],
        resources=pods.resources(None, "50m", "256Mi"),
        terminationMessagePolicy="FallbackToLogsOnError",
        startupProbe={**alive, "periodSeconds": 1, "failureThreshold": 60, "timeoutSeconds": 2},
        readinessProbe={**ready, "periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 2},
        livenessProbe={**alive, "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5},
    )
    if spec.plugin.image is not None:
        host["image"] = spec.plugin.image
    digest = hashlib.sha256(_config(channel).encode()).hexdigest()[:16]
    template = {
        "metadata": {
            "labels": channel_labels(name),
            "annotations": {_CONFIG_ANNOTATION: digest},
        },
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "serviceAccountName": child_name(channel),
            "securityContext": pods.POD_SECURITY,
            "terminationGracePeriodSeconds": 3 * HAND_OVER_SECONDS,
            "containers": [host],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "config", "configMap": {"name": child_name(channel)}},
                _secrets(channel),
            ],
        },
    }
    return _child(
        channel,
        DEPLOYMENT,
        spec={
            "selector": {"matchLabels": selector(name, CHANNEL_HOST)},
            "revisionHistoryLimit": 3,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "template": template,
        },
    )


def _secrets(channel: Channel) -> Object:
    """Optional, so that the host starts and says which one is missing; nobody else may read
    them."""
    if not channel.spec.secret_refs:
        return {"name": "secrets", "emptyDir": {}}
    sources = [
        {
            "secret": {
                "name": each.secret_ref.name,
                "optional": True,
                "items": [{"key": each.secret_ref.key, "path": each.name}],
            }
        }
        for each in channel.spec.secret_refs
    ]
    return {"name": "secrets", "projected": {"sources": sources, "defaultMode": 0o440}}
