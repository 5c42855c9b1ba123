"""A TCP proxy between one petrel and NATS that loses what it is told to lose."""

import asyncio


class Proxy:
    def __init__(self, target_port):
        self.target_port = target_port
        self.port = None
        self.server = None
        self.writers = set()
        self.swallowing = False
        self.cut_after_request = False
        self.swallowed = 0
        self.cut_after = 0

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.close()
            return
        pair = {writer, server_writer}
        self.writers |= pair
        ways = [self.requests(reader, server_writer), self.replies(server_reader, writer)]
        tasks = [asyncio.ensure_future(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for one in pair:
            one.close()
        self.writers -= pair

    async def requests(self, reader, writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
            if self.cut_after_request and b"PUB " in data and b".events." in data:
                # The server gets it; its answer never comes.
                self.cut_after_request = False
                self.cut_after += 1
                return

    async def replies(self, reader, writer):
        while data := await reader.read(1 << 16):
            if self.swallowing:
                self.swallowed += len(data)
                continue
            writer.write(data)
            await writer.drain()

    async def swallow_and_cut(self, seconds):
        """Whether anything was swallowed before the connection was cut."""
        before = self.swallowed
        self.swallowing = True
        try:
            await asyncio.sleep(seconds)
        finally:
            # Also where the run ends meanwhile: what is asked then is to be answered.
            self.cut()
            self.swallowing = False
        return self.swallowed > before

    async def cut_after_next(self, seconds):
        """Whether a request passed within that time, and the connection was cut behind it."""
        before = self.cut_after
        self.cut_after_request = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self.cut_after_request = False
        return self.cut_after > before

    def cut(self):
        for writer in list(self.writers):
            writer.transport.abort()

    def close(self):
        self.server.close()
        self.cut()
