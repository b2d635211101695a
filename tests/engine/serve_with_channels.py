"""A serving pod whose channels a test names: `python -m tests.engine.serve_with_channels`.

As `wayfare serve`; the environment's SERVE_CHANNELS is a JSON object of a channel's name to
`{parts, address}`, and the templates' customers are those of the database.
"""

from __future__ import annotations

import asyncio
import json
import os

from psycopg_pool import ConnectionPool

from wayfare_engine.api.app import make_app
from wayfare_engine.api.preview import Outgoing
from wayfare_engine.api.state import ServeState
from wayfare_engine.clock import new_id, now
from wayfare_engine.content import MessageTemplate, Renderer, Variables, compile_template
from wayfare_engine.content.channels import is_html
from wayfare_engine.customers.lookup import CustomerLookup
from wayfare_engine.settings import load_settings
from wayfare_engine.store.blob_cache import BlobCache
from wayfare_engine.web.server import http_server, run_until_signal


def outgoing(dsn: str) -> Outgoing:
    given = json.loads(os.environ["SERVE_CHANNELS"])
    names = json.loads(os.environ["SERVE_ATTRIBUTES"])
    pool = ConnectionPool(dsn, kwargs={"autocommit": True}, min_size=1, max_size=2, open=True)
    lookup = CustomerLookup(pool.connection, None, names, keys=lambda _: None, cache=BlobCache())
    made = {
        channel: Renderer(
            MessageTemplate(
                {
                    name: compile_template(text, Variables(names), html=is_html(name))
                    for name, text in spec["parts"].items()
                }
            )
            if spec.get("parts")
            else None,
            spec.get("address"),
            lookup,
        )
        for channel, spec in given.items()
    }
    return Outgoing(made.keys, made.get)


async def serve(port: int) -> None:
    settings = load_settings()
    state = ServeState(settings, clock=now, ids=new_id)
    state.outgoing = outgoing(settings.dsn)
    server = http_server(make_app(state), host="127.0.0.1", port=port)
    await state.start()
    await run_until_signal(server)
    await state.stop()


if __name__ == "__main__":
    asyncio.run(serve(int(os.environ["SERVE_PORT"])))
