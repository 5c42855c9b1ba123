"""What goes wrong, and when. Each fault that really happened is in the journal."""

import asyncio
import json
import signal

import nats

import machine
from back import whole

LOG = "CB_LOG"


async def kill_petrels(petrels, journal, random, every):
    """kill -9 of one of the processes, started again at once."""
    while True:
        await asyncio.sleep(every)
        victim = random.choice(petrels)
        await victim.note_metrics()
        if victim.alive():
            journal.fault("kill", victim.name)
            await victim.kill()
        if not victim.alive():
            victim.start()


async def kill_server(server, journal, random):
    """kill -9 of the nats-server, back at once or a moment later."""
    while True:
        await asyncio.sleep(random.uniform(1.5, 4.5))
        journal.fault("server-kill", server.name)
        await whole(kill_and_start(server, random.choice([0.0, 0.0, 0.5])))
        await server.ready()


async def kill_and_start(server, away):
    await server.kill()
    await asyncio.sleep(away)
    server.start()


async def crash_machine(server, disk, journal, random):
    """The server's machine crashes, and is back at once or a moment later: what was not synced is lost.

    Every other time the kernel has written everything a moment before, which it does by itself after half a
    minute: else the view, which is not synced, would lose the same each time, which is all of it.
    """
    while True:
        await asyncio.sleep(random.uniform(2.0, 4.0))
        if random.random() < 0.5:
            journal.fault("write-back", server.name)
            await whole(asyncio.to_thread(disk.write_back))
        await asyncio.sleep(random.uniform(0.0, 4.0))
        await whole(crash(server, disk, journal, random.choice([0.0, 0.5, 2.0])))


async def crash(server, disk, journal, away):
    journal.fault("crash", server.name)
    server.being_killed = True
    await asyncio.to_thread(machine.crash, server, disk)
    await asyncio.to_thread(disk.come_back)
    await asyncio.sleep(away)
    server.start()
    await server.ready()


async def kill_any(servers, journal, random):
    """kill -9 of one of a cluster's servers, the leader's as well, back at once; then of another one."""
    while True:
        await asyncio.sleep(random.uniform(3.0, 5.0))
        server = random.choice(servers)
        journal.fault("server-kill", server.name)
        await whole(kill_and_start(server, 0.0))
        await server.ready()


async def restart_what_ended(processes, journal):
    """A process that ended by itself is started again, and the journal has it."""
    while True:
        await asyncio.sleep(0.5)
        for process in processes:
            if not process.alive() and not process.being_killed:
                journal.fault("ended-by-itself", process.name)
                process.start()


async def cut_connections(proxies, journal, random):
    """Replies swallowed for a moment and then the connection cut, or cut behind a request."""
    while True:
        await asyncio.sleep(random.uniform(0.5, 1.5))
        name, proxy = random.choice(list(proxies.items()))
        if random.random() < 0.5:
            if await proxy.swallow_and_cut(random.uniform(0.02, 0.4)):
                journal.fault("swallow", name)
        elif await proxy.cut_after_next(1.0):
            journal.fault("cut", name)


class Cluster:
    """Knows who leads the log's stream, by asking any server that answers."""

    def __init__(self, servers):
        self.servers = servers

    async def leader(self):
        """The server that leads, or none during an election."""
        for server in self.servers:
            if not server.alive():
                continue
            try:
                name = await asyncio.wait_for(self.ask(server), 5.0)
            except (OSError, asyncio.TimeoutError, nats.errors.Error, KeyError, ValueError):
                continue
            if name:
                return next(server for server in self.servers if server.name == name)
        return None

    async def ask(self, server):
        connection = await nats.connect(server.url, allow_reconnect=False, connect_timeout=2)
        try:
            reply = await connection.request(f"$JS.API.STREAM.INFO.{LOG}", b"", timeout=2)
            return json.loads(reply.data)["cluster"].get("leader")
        finally:
            await connection.close()

    async def freeze_followers(self, journal, random, first, every, seconds):
        await asyncio.sleep(first)
        while True:
            leader = await self.leader()
            followers = [one for one in self.servers if one is not leader and one.alive()]
            if leader is not None and followers:
                frozen = random.choice(followers)
                journal.fault("freeze", frozen.name)
                frozen.signal(signal.SIGSTOP)
                try:
                    await asyncio.sleep(seconds)
                finally:
                    frozen.signal(signal.SIGCONT)
            await asyncio.sleep(max(0.1, every - seconds))

    async def kill_leaders(self, journal, first, every, away):
        await asyncio.sleep(first)
        while True:
            leader = await self.leader()
            if leader is not None and leader.alive():
                journal.fault("leader-kill", leader.name)
                await whole(kill_and_start(leader, away))
            await asyncio.sleep(max(0.1, every - away))
