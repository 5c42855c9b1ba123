"""GraphQL over HTTP/1.1 with asyncio streams: enough to see each way in which an answer is lost."""

import asyncio
import json

TIMEOUT = 60.0


class Unsent(Exception):
    """The process could not be reached: it has not seen the request."""


class Lost(Exception):
    """The request was sent, and no whole answer came: it happened or not."""


class Dropped(Exception):
    """The client threw the answer away on purpose."""


class Connection:
    """A connection to one process that is opened when it is needed, and again when it is lost."""

    def __init__(self, port):
        self.port = port
        self.streams = None

    async def open(self):
        if self.streams is not None and not self.streams[0].at_eof():
            return self.streams
        self.close()
        try:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        except OSError as error:
            raise Unsent(str(error)) from error
        return self.streams

    def close(self):
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None

    async def post(self, query, variables, drop_after=None):
        """The answer as JSON. With `drop_after`, hangs up that many seconds after sending."""
        reader, writer = await self.open()
        body = json.dumps({"query": query, "variables": variables}).encode()
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + body)
            await writer.drain()
            if drop_after is not None:
                await asyncio.sleep(drop_after)
                raise Dropped
            return json.loads(await asyncio.wait_for(answer(reader), TIMEOUT))
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            self.close()
            raise Lost(f"{type(error).__name__} {error}") from error
        except Dropped:
            self.close()
            raise

    async def get(self, path):
        """The body of a plain GET, as text."""
        reader, writer = await self.open()
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
            await writer.drain()
            return (await asyncio.wait_for(answer(reader), 5.0)).decode()
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            self.close()
            raise Lost(str(error)) from error


async def answer(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        raise ValueError(f"neither a length nor chunks: {head[0]}")
    parts = []
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
        if size == 0:
            return b"".join(parts)
