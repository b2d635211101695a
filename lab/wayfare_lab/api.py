"""A minimal client of a site's API server, for what bringing a site up needs."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

from wayfare_lab.errors import ApiError
from wayfare_lab.layout import API_PORT, Site

_MANAGER = "wayfare-lab"


class Api:
    """The administrator's view of one site, by its management address.

    :param timeout: seconds for connecting and for each answer.
    """

    def __init__(self, site: Site, *, timeout: float = 5.0) -> None:
        folder = site.conf / "pki"
        self._site = site
        self._timeout = timeout
        self._context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        self._context.load_cert_chain(folder / "admin.crt", folder / "admin.key")

    def ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self._request("GET", "/readyz")[0] == http.client.OK
        except OSError:
            return False

    def get(self, path: str) -> dict[str, Any] | None:
        """An object or a list; None when there is none.

        :raises ApiError: for any other answer. :raises OSError: when there is no answer.
        """
        status, body = self._request("GET", path)
        if status == http.client.NOT_FOUND:
            return None
        return self._object("GET", path, status, body)

    def apply(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply of one object at its own path."""
        target = f"{path}?fieldManager={_MANAGER}&force=true"
        status, body = self._request("PATCH", target, json.dumps(content).encode())
        return self._object("PATCH", path, status, body)

    def _request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(
            str(self._site.management.ip), API_PORT, timeout=self._timeout, context=self._context
        )
        try:
            headers = {"Content-Type": "application/apply-patch+yaml"} if body else {}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"no whole answer: {error}") from error
        finally:
            connection.close()

    @staticmethod
    def _object(method: str, path: str, status: int, body: bytes) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(body)
        except ValueError:
            content = {"message": body.decode(errors="replace")}
        if status >= http.client.BAD_REQUEST:
            raise ApiError(method, path, status, str(content.get("message", "")))
        return content
