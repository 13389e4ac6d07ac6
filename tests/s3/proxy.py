# SPDX-License-Identifier: BSD-3-Clause
"""A proxy on the loopback interface that loses, delays and refuses requests to an S3 server.

It reads whole HTTP/1.1 requests, asks a plan what to do with each, and speaks to the
server over a connection of its own, so that an answer can be dropped after the server
has done what was asked.  The ``Host`` header goes on as it came: it is signed.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

FAULTS = (
    "reset",
    "lost answer",
    "late",
    "delay",
    "503",
    "409",
    "500 after",
    "412 for ours",
    "cut answer",
)
"""What can befall a request.

``reset``: the connection breaks before anything was done.  ``lost answer``: after it was
done.  ``late``: the connection breaks, and the request arrives all the same, but only once somebody
has looked for the file in vain.
``delay``: the answer takes its time.  ``503``, ``409``: refused, nothing was done.  ``500
after``: done, but the answer says it failed.  ``412 for ours``: sent twice, as by a retry
on the way, so that the second finds the first.  ``cut answer``: done, and half an answer.
"""

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"
CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>Again, please.</Message></Error>"
BROKEN = b"<Error><Code>InternalError</Code><Message>We are sorry.</Message></Error>"


@dataclass(frozen=True)
class Request:
    """One request, whole."""

    method: str
    path: str
    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        return self.head + self.body

    @property
    def commits(self) -> bool:
        """Whether it is to create a log entry."""
        return (
            self.method == "PUT" and "/registry/log/" in self.path and b"if-none-match" in self.head.lower()
        )


Plan = Callable[[Request], str | None]


class FaultProxy:
    """Stands in front of a server; a context manager.

    Parameters
    ----------
    port : `int`
        Where the server listens.
    plan : callable
        Names the fault that befalls a request, or None.
    """

    def __init__(self, port: int, plan: Plan) -> None:
        self.target = port
        self.plan = plan
        self.port = 0
        self.injected: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._late: defaultdict[str, list[Request]] = defaultdict(list)
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(10), "the proxy does not come up"
        return self

    def __exit__(self, *args: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._up.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _request(reader, writer)) is not None:
                fault = self.plan(request)
                if fault is not None:
                    self.injected[fault] += 1
                if not await self._answer(request, fault, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            with suppress(OSError, RuntimeError):
                writer.close()

    async def _answer(self, request: Request, fault: str | None, writer: asyncio.StreamWriter) -> bool:
        """Do what the fault says; return whether the connection lives on."""
        match fault:
            case "reset":
                return _reset(writer)
            case "lost answer":
                await self._forward(request)
                return _reset(writer)
            case "late":
                self._late[request.path].append(request)
                return _reset(writer)
            case "cut answer":
                writer.write((await self._forward(request))[:20])
                await writer.drain()
                return False
            case "503" | "409":
                reason = "Service Unavailable" if fault == "503" else "Conflict"
                writer.write(_reply(fault, reason, SLOW_DOWN if fault == "503" else CONFLICT))
            case "500 after":
                await self._forward(request)
                writer.write(_reply("500", "Internal Server Error", BROKEN))
            case "412 for ours":
                await self._forward(request)
                writer.write(await self._forward(request))
            case _:
                writer.write(await self._forward(request, 0.1 if fault == "delay" else 0))
        if request.method == "GET":
            for late in self._late.pop(request.path, ()):
                await self._forward(late)
        await writer.drain()
        return True

    async def _forward(self, request: Request, wait: float = 0) -> bytes:
        """Let the server do it; return its whole answer."""
        await asyncio.sleep(wait)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            writer.write(request.raw)
            head = await reader.readuntil(b"\r\n\r\n")
            if request.method == "HEAD" or head.split(b" ", 2)[1] in {b"204", b"304"}:
                return head
            return head + await _body(head, reader)
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith(b"expect:")]
    if len(kept) < len(lines):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    method, path, _ = lines[0].decode("latin-1").split(" ")
    return Request(method, path, b"\r\n".join(kept), await _body(head, reader))


async def _body(head: bytes, reader: asyncio.StreamReader) -> bytes:
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        parts = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            parts += line + await reader.readexactly(int(line, 16) + 2)
            if line.strip() == b"0":
                return parts
    return await reader.readexactly(int(fields.get(b"content-length", b"0")))


def _reply(status: str, reason: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _reset(writer: asyncio.StreamWriter) -> bool:
    """Break the connection so that the other side is told."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
