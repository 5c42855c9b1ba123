"""Tries the promise "once" with faults, and judges by the raw streams. README.md says more."""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time

import check
import faults
import machine
import selftest
from back import put_back
from dump import dump
from feeds import Watcher, scopes
from graphql import selections
from journal import Journal
from load import Client, prepare
from nets import NETS, definition
from processes import Nats, Petrel, Process, free_ports
from proxy import Proxy
from strangers import Stranger, rebuild
from world import World

CLIENTS, SLOTS = 24, 100

SCENARIOS = ("kills", "swallow", "cluster", "replicas", "server", "crash", "stranger", "back", "old", "calm")


def arguments():
    parser = argparse.ArgumentParser(prog="tools/once/run", description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=SCENARIOS, help="what goes wrong")
    parser.add_argument("--petrel", default="target/release/petrel", help="the program to try")
    parser.add_argument("--older", help="an older version of the program, for the scenario `old`")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1, help="of what is asked for and when faults come")
    parser.add_argument("--sync-interval", help="of the nats-servers; `crash` takes `always`")
    parser.add_argument("--group-commit", help="of the processes: `measured`, `always` or `never`")
    parser.add_argument("--settle", type=float, default=15.0, help="seconds for the view, after the last request")
    parser.add_argument("--out", help="folder for the dump, the journal and the logs (a new temporary one)")
    parser.add_argument("--self-test", action="store_true", help="does the checker find each fault that is planted?")
    parser.add_argument("--from", dest="source", help="with --self-test: the folder of an earlier run")
    return parser.parse_args()


def folder_for(path):
    path = path or tempfile.mkdtemp(prefix="petrel-once-")
    os.makedirs(path, exist_ok=True)
    if os.path.exists(os.path.join(path, "journal.jsonl")):
        raise SystemExit(f"{path} has a run already; take another folder")
    return os.path.abspath(path)


class Run:
    """One scenario from the first server's start to the dump."""

    def __init__(self, scenario, petrel, seconds, seed, settle, folder, older=None, sync=None, group=None):
        self.scenario, self.program, self.seconds = scenario, os.path.abspath(petrel), seconds
        self.programs = [self.program, os.path.abspath(older) if scenario == "old" else self.program]
        self.settle, self.folder = settle, folder
        self.sync, self.group = "always" if scenario == "crash" else sync, group
        self.disk = None
        self.is_replicated = scenario in ("cluster", "replicas")
        self.random = random.Random(seed)
        self.journal = Journal(os.path.join(folder, "journal.jsonl"))
        self.servers, self.petrels, self.proxies = [], [], {}
        about = {"scenario": scenario, "seconds": seconds, "seed": seed, "cluster": self.is_replicated}
        about |= {"sync": self.sync, "group": group}
        self.journal.write("run", **about, older=1 if scenario == "old" else None)

    async def run(self):
        try:
            await self.start()
            await self.drive()
            print(f"settling for {self.settle:.0f} s", flush=True)
            await asyncio.sleep(self.settle)
            await self.finish()
        finally:
            for process in self.petrels + self.servers:
                process.end_now()
            for proxy in self.proxies.values():
                proxy.close()
            self.journal.close()
            if self.disk is not None:
                self.disk.end()

    async def start(self):
        count = 3 if self.is_replicated else 1
        ports = free_ports(2 * count + 2)
        routes = ports[count : 2 * count] if count > 1 else None
        for number in range(count):
            route = routes[number] if routes else None
            self.servers.append(Nats(f"nats{number}", ports[number], self.folder, routes, route, self.sync))
        if self.scenario == "crash":
            self.disk = machine.Disk(os.path.join(self.folder, "disk"), self.servers[0].store)
            self.disk.prove()
        for server in self.servers:
            server.start()
        for server in self.servers:
            await server.ready()
        for number in range(2):
            name = f"petrel{number}"
            url = ",".join(server.url for server in self.servers)
            if self.scenario == "swallow":
                proxy = self.proxies[name] = Proxy(self.servers[0].port)
                await proxy.start()
                url = f"nats://127.0.0.1:{proxy.port}"
            replicas = count if count > 1 else None
            port = ports[2 * count + number]
            petrel = Petrel(name, self.programs[number], url, port, self.folder, replicas, self.group)
            self.petrels.append(petrel)
            petrel.start()
            await petrel.ready()

    def trouble(self, world):
        """The faults of the scenario, as tasks that run until they are cancelled."""
        scenario, journal = self.scenario, self.journal
        restart = faults.restart_what_ended(self.petrels, journal)
        if scenario == "cluster":
            cluster = faults.Cluster(self.servers)
            first = min(5.0, self.seconds / 6)
            kills = cluster.kill_leaders(journal, min(25.0, self.seconds / 3), 60.0, 1.0)
            freezes = cluster.freeze_followers(journal, self.random, first, 20.0, 3.0)
            return [freezes, kills, restart]
        if scenario == "replicas":
            kills = faults.kill_petrels(self.petrels, journal, self.random, 5.0)
            return [restart, kills, faults.kill_any(self.servers, journal, self.random)]
        if scenario == "back":
            return [restart, put_back(self.servers[0], world, journal, self.folder, min(30.0, self.seconds / 2.5))]
        tasks = [restart]
        if scenario in ("stranger", "calm"):
            tasks.append(Stranger(self.servers[0].url, world, journal, self.random).run(0.7))
        if scenario != "calm":
            every = {"stranger": 6.0, "server": 10.0, "crash": 10.0}.get(scenario, 3.0)
            tasks.append(faults.kill_petrels(self.petrels, journal, self.random, every))
        if scenario == "server":
            tasks.append(faults.kill_server(self.servers[0], journal, self.random))
        if scenario == "crash":
            tasks.append(faults.crash_machine(self.servers[0], self.disk, journal, self.random))
        if scenario == "swallow":
            tasks.append(faults.cut_connections(self.proxies, journal, self.random))
        return tasks

    async def clients(self, world):
        """The clients, and what the workflows need."""
        ports = [petrel.port for petrel in self.petrels]
        if self.scenario == "calm":
            ports = ports[:1]
        selected = [selections(await prepare(port, [definition(workflow) for workflow in NETS])) for port in ports]
        settings = {"without_ids": 0.25, "drops": 0.04 if self.scenario == "swallow" else 0.005}
        settings["command"] = (self.program, ",".join(server.url for server in self.servers))
        # Of an older version it is not promised what its reads see.
        sound = settings["reads_by"] = [0] if self.scenario == "old" else list(range(len(ports)))
        clients = [Client(world, self.journal, ports, selected, settings) for _ in range(CLIENTS)]
        watched = [ports[number] for number in sound]
        return clients, [Watcher(world, self.journal, watched, scope) for scope in scopes(world.cases)]

    async def drive(self):
        world = World(self.random, SLOTS, quarantines=self.scenario != "old")
        clients, watchers = await self.clients(world)
        stop = asyncio.Event()
        trouble = [asyncio.ensure_future(task) for task in self.trouble(world)]
        work = [asyncio.ensure_future(one.run(stop)) for one in clients + watchers]
        for broken in await self.wait(trouble + work[: len(clients)]):
            broken.result()
        stop.set()
        for task in trouble:
            task.cancel()
        await asyncio.gather(*trouble, return_exceptions=True)
        for process in self.petrels + self.servers:
            if not process.alive():
                process.start()
            await process.ready()
        # Each client ends with what it has under way, whose tries and waits are bounded.
        await asyncio.wait_for(asyncio.gather(*work), 600)
        for case in [case for case in {*world.soiled, *world.cases} if case.soiled]:
            await clients[0].mend(case)
        await asyncio.gather(*(watcher.drain() for watcher in watchers))
        for client in clients:
            client.close()

    async def wait(self, tasks):
        """Waits for the time to pass; a task that ends before is a fault of the driver."""
        end, begun = time.monotonic() + self.seconds, time.monotonic()
        while (left := end - time.monotonic()) > 0:
            done, _ = await asyncio.wait(tasks, timeout=min(left, 30.0), return_when=asyncio.FIRST_COMPLETED)
            if done:
                return done
            print(f"{time.monotonic() - begun:5.0f} s: {self.journal.number} lines in the journal", flush=True)
        return []

    async def finish(self):
        urls = ",".join(server.url for server in self.servers)
        if self.scenario in ("stranger", "calm"):
            await rebuild(self.program, urls, self.journal)
        for petrel in self.petrels:
            await petrel.note_metrics()
            counted = {"races": petrel.races, "retries": petrel.retries, "starts": petrel.started}
            self.journal.write("metrics", p=petrel.name, **counted)
            petrel.signal(15)
        for petrel in self.petrels:
            await petrel.ended()
        await dump(urls, os.path.join(self.folder, "dump.jsonl.gz"))


def run_and_check(options):
    folder = folder_for(options.out)
    print(f"{options.scenario} for {options.minutes:g} minutes, seed {options.seed}, in {folder}", flush=True)
    run = Run(options.scenario, options.petrel, options.minutes * 60, options.seed, options.settle, folder, options.older, options.sync_interval, options.group_commit)
    asyncio.run(run.run())
    return check.main([folder])


def self_test(options):
    """Faults planted in a small run without any, and in one whose log was put back."""
    if options.source:
        return selftest.main(options.source)
    folder, result = folder_for(options.out), 0
    for scenario, seconds in (("calm", 20.0), ("back", 30.0)):
        own = os.path.join(folder, scenario)
        os.makedirs(own)
        asyncio.run(Run(scenario, options.petrel, seconds, options.seed, 5.0, own).run())
        result |= selftest.main(own)
    if result == 0 and not options.out:
        shutil.rmtree(folder)
    return result


def main():
    options = arguments()
    if options.self_test:
        return self_test(options)
    if options.scenario == "old" and not options.older:
        raise SystemExit("old: --older PATH names the older version of the program")
    if options.scenario == "crash":
        if options.sync_interval not in (None, "always"):
            raise SystemExit("crash: only with `--sync-interval always` is nothing acknowledged lost")
        machine.prepare()
        Process.through = machine.ENDS_WITH_DRIVER
    if options.scenario is None:
        raise SystemExit("which scenario? " + ", ".join(SCENARIOS))
    return run_and_check(options)


if __name__ == "__main__":
    sys.exit(main())
