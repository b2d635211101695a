"""The demo's outside world: its record is what everything is measured against."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from demo.campaign.receiver import Receiver


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server = await asyncio.start_server(Receiver().serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.close()


async def test_it_records_each_key_once_and_counts_repeats(url: str) -> None:
    async with aiohttp.ClientSession() as client:
        for way, key in (("push", "a"), ("push", "a"), ("push", "b"), ("mail", "b")):
            async with client.post(f"{url}/{way}", headers={"webhook-id": key}) as answer:
                assert answer.status == 200
        async with client.get(f"{url}/record") as answer:
            record = await answer.json()
    assert record == {
        "push": {"effects": 2, "repeats": 1},
        "mail": {"effects": 1, "repeats": 0},
        "both": ["b"],
    }


async def test_a_way_that_hangs_answers_nobody_until_it_serves_again(url: str) -> None:
    async with aiohttp.ClientSession() as client:
        await (await client.post(f"{url}/mode/push?hang")).release()
        waiting = asyncio.create_task(client.post(f"{url}/push", headers={"webhook-id": "a"}))
        async with client.post(f"{url}/mail", headers={"webhook-id": "a"}) as answer:
            assert answer.status == 200
        async with client.get(f"{url}/record") as answer:
            assert (await answer.json())["push"] == {"effects": 0, "repeats": 0}
        assert not waiting.done()
        await (await client.post(f"{url}/mode/push?serve")).release()
        assert (await waiting).status == 200
