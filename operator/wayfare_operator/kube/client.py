"""The only client of the Kubernetes API: JSON in, JSON out, errors with their fields."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

from wayfare_operator.kube.kinds import Kind, Object

FIELD_MANAGER = "wayfare"
INITIAL_SCALE_MANAGER = "wayfare-initial-scale"
SLEEP_MANAGER = "wayfare-sleep"
_PAGE = 100
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiError(Exception):
    """The API server refused a request. `status` is the HTTP code, `reason` its Status reason."""

    def __init__(self, method: str, path: str, status: int, reason: str, message: str) -> None:
        super().__init__(f"{method} {path}: {status} {reason}: {message}")
        self.method = method
        self.path = path
        self.status = status
        self.reason = reason
        self.message = message


class ApiUnreachable(Exception):
    """No answer came from the API server."""


class KubeClient:
    """Apply, read and delete. Every write carries a field manager."""

    def __init__(self, configuration: Configuration, *, timeout: float = 30.0) -> None:
        self._api = ApiClient(configuration)
        self._timeout = timeout

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def apply(
        self, kind: Kind, body: Object, *, force: bool, sub: str | None = None
    ) -> Object:
        """Server-side apply as `wayfare`; `force` takes fields over from other managers."""
        metadata = body["metadata"]
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
        return await self._request(
            "PATCH",
            kind.path(metadata.get("namespace"), metadata["name"], sub),
            query=query,
            body=body,
            content_type="application/apply-patch+yaml",
        )

    async def set_initial_replicas(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        replicas: int,
        marks: Mapping[str, str],
    ) -> Object:
        """Set replicas and the annotations `marks` that say so, in one write of one manager.

        That manager is not `wayfare`, which so never owns replicas.
        """
        metadata = {"uid": uid, "annotations": dict(marks)}
        return await self._request(
            "PATCH",
            kind.path(namespace, name),
            query={"fieldManager": INITIAL_SCALE_MANAGER},
            body={"metadata": metadata, "spec": {"replicas": replicas}},
            content_type="application/merge-patch+json",
        )

    async def merge_patch(
        self, kind: Kind, namespace: str, name: str, body: Object, *, sub: str | None = None
    ) -> Object:
        """A JSON merge patch; with `metadata.resourceVersion` in it, of exactly what was read."""
        return await self._request(
            "PATCH",
            kind.path(namespace, name, sub),
            query={"fieldManager": FIELD_MANAGER},
            body=body,
            content_type="application/merge-patch+json",
        )

    async def scale(
        self, kind: Kind, namespace: str, name: str, *, uid: str, replicas: int
    ) -> Object:
        """Set replicas through `/scale`, of exactly the object that was seen."""
        return await self._request(
            "PATCH",
            kind.path(namespace, name, "scale"),
            query={"fieldManager": SLEEP_MANAGER},
            body={"metadata": {"uid": uid}, "spec": {"replicas": replicas}},
            content_type="application/merge-patch+json",
        )

    async def annotate(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        annotations: Mapping[str, str | None],
        version: str | None = None,
    ) -> Object:
        """Set annotations, or remove those that are None, of exactly the object that was seen;
        with its `version`, only if nobody changed it since."""
        return await self._request(
            "PATCH",
            kind.path(namespace, name),
            query={"fieldManager": SLEEP_MANAGER},
            body={
                "metadata": {
                    "uid": uid,
                    "annotations": dict(annotations),
                    **({} if version is None else {"resourceVersion": version}),
                }
            },
            content_type="application/merge-patch+json",
        )

    async def create(self, kind: Kind, body: Object) -> Object:
        """POST an object."""
        path = kind.path(body["metadata"].get("namespace"))
        return await self._request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=body)

    async def is_free(self, kind: Kind, body: Object) -> bool:
        """Whether an object of this name could be made, asked without making it: for kinds that
        nobody may read here. False when there is one."""
        path = kind.path(body["metadata"].get("namespace"))
        query = {"fieldManager": FIELD_MANAGER, "dryRun": "All"}
        try:
            await self._request("POST", path, query=query, body=body)
        except ApiError as error:
            if error.status == 409:
                return False
            raise
        return True

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """Read one object."""
        return await self._request("GET", kind.path(namespace, name))

    async def replace(self, kind: Kind, body: Object) -> Object:
        """PUT an object as it was read; the API server rewrites it in its storage version."""
        metadata = body["metadata"]
        return await self._request(
            "PUT", kind.path(metadata.get("namespace"), metadata["name"]), body=body
        )

    async def read(self, path: str) -> Object:
        """Read a path that is not an object, such as the issuer's keys."""
        accept = "application/json, application/jwk-set+json;q=0.9"
        return await self._request("GET", path, accept=accept)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """Delete exactly the object that was seen; what it owns goes in the background."""
        body: Object = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        await self._request("DELETE", kind.path(namespace, name), body=body)

    async def list(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        labels: str | None = None,
        metadata_only: bool = False,
    ) -> AsyncIterator[Object]:
        """Every object, page by page; items get the kind that a list leaves out."""
        token: str | None = None
        while True:
            query = {"limit": str(_PAGE)}
            if labels is not None:
                query["labelSelector"] = labels
            if token:
                query["continue"] = token
            accept = _METADATA_ONLY if metadata_only else "application/json"
            page = await self._request("GET", kind.path(namespace), query=query, accept=accept)
            for item in page.get("items") or ():
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.name)
                yield item
            token = page.get("metadata", {}).get("continue")
            if not token:
                return

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        target = f"{path}?{urlencode(query)}" if query else path
        request = await self._api.param_serialize(
            method,
            target,
            header_params={"Accept": accept, "Content-Type": content_type},
            query_params=[],
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = await self._api.call_api(*request, _request_timeout=self._timeout)
            data: bytes = await response.read()  # type: ignore[no-untyped-call]
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ApiUnreachable(f"{method} {path}: {error or type(error).__name__}") from error
        if not 200 <= response.status <= 299:
            raise _refusal(method, path, response.status, data)
        decoded: Object = json.loads(data) if data else {}
        return decoded


def _refusal(method: str, path: str, status: int, data: bytes) -> ApiError:
    reason, message = "", ""
    try:
        answer = json.loads(data)
        reason, message = str(answer.get("reason", "")), str(answer.get("message", ""))
    except (ValueError, AttributeError):
        message = data[:200].decode("utf-8", "replace")
    return ApiError(method, path, status, reason, message)
