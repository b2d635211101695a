"""Where the API server is and who the operator is there: in a pod, or by a kubeconfig."""

from __future__ import annotations

import datetime
import os

import kopf
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config

_KOPF_LOGIN_LASTS = datetime.timedelta(minutes=10)


async def load_configuration() -> Configuration:
    """The in-cluster configuration inside a pod, else that of KUBECONFIG."""
    configuration = Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG"):
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        # The library looks at the variable when it is loaded; we do when it is needed.
        named = os.environ.get("KUBECONFIG") or None
        await load_kube_config(  # type: ignore[no-untyped-call]
            config_file=named, client_configuration=configuration
        )
    # The library's default retries any request of any kind; our queue does it with backoff.
    configuration.retries = False
    return configuration


def connection_info(configuration: Configuration, now: datetime.datetime) -> kopf.ConnectionInfo:
    """The same identity for kopf's watches; it asks again when the token may have been renewed."""
    hook = configuration.refresh_api_key_hook
    if hook is not None:
        hook(configuration)
    scheme, _, token = (configuration.api_key.get("BearerToken") or "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme.capitalize() if token else None,
        token=token.strip() or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        expiration=now + _KOPF_LOGIN_LASTS,
    )
