"""Requests of tests to servers of this machine.

`httpx.get` and its kin read all certificates of the world for each request, which takes a hundred
times as long as the request itself; here they are methods of one client, which keeps no connection.
"""

from __future__ import annotations

import httpx

_client = httpx.Client(
    verify=False,
    trust_env=False,
    limits=httpx.Limits(max_keepalive_connections=0),
)
get, post, put, request = _client.get, _client.post, _client.put, _client.request
