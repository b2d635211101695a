"""Headless Chromium, driven over its debugging protocol: what a browser makes of a page."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.servers.require import need

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = "no browser: apt-get install chromium"


class Browser:
    """One tab. `requests`: every URL that was asked for; `problems`: errors of scripts, and what
    the page's policy forbade."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self.requests: list[str] = []
        self.problems: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def open(self, url: str) -> None:
        """Go there, and wait until it is loaded."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        self._loaded.clear()
        self.requests.clear()
        self.problems.clear()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 30)

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, as JSON."""
        found = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def size(self, width: int, height: int = 900) -> None:
        """The window's size, in pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    async def media(self, kind: str = "", **features: str) -> None:
        """Such as `print`, or `prefers_color_scheme="dark"`."""
        wanted = [{"name": n.replace("_", "-"), "value": v} for n, v in features.items()]
        await self.call("Emulation.setEmulatedMedia", media=kind, features=wanted)

    async def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode((await self.call("Page.printToPDF"))["data"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One call of the protocol."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        found = await asyncio.wait_for(answer, 30)
        assert "error" not in found, (method, found)
        result: dict[str, Any] = found["result"]
        return result

    async def close(self) -> None:
        """Stop listening."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told)
                continue
            match told["method"]:
                case "Page.loadEventFired":
                    self._loaded.set()
                case "Network.requestWillBeSent":
                    self.requests.append(told["params"]["request"]["url"])
                case "Runtime.exceptionThrown" | "Log.entryAdded" | "Page.javascriptDialogOpening":
                    self.problems.append(str(told["params"]))


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    """A browser with a profile of its own that reaches nothing; gone afterwards."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    need(program, MISSING)
    assert program is not None
    with tempfile.TemporaryDirectory(prefix="wayfare-browser-", ignore_cleanup_errors=True) as home:
        process = await asyncio.create_subprocess_exec(
            program,
            "--headless",
            "--remote-debugging-port=0",
            f"--user-data-dir={home}",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            *(["--no-sandbox"] if os.geteuid() == 0 else []),
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HOME": home},
        )
        try:
            port = await _port(Path(home), process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    pages = [one for one in await answer.json() if one["type"] == "page"]
                async with session.ws_connect(
                    pages[0]["webSocketDebuggerUrl"], max_msg_size=0
                ) as socket:
                    browser = Browser(socket)
                    yield browser
                    await browser.close()
        finally:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _port(home: Path, process: asyncio.subprocess.Process) -> int:
    """Where it listens, which it writes into its profile."""
    file = home / "DevToolsActivePort"
    for _ in range(600):
        assert process.returncode is None, f"the browser ended with {process.returncode}"
        if file.exists() and (text := file.read_text()).count("\n"):
            return int(text.splitlines()[0])
        await asyncio.sleep(0.05)
    raise AssertionError("the browser did not start in 30 s")
