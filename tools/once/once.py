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
import selftest
from dump import dump
from graphql import selections
from journal import Journal
from load import Client, prepare
from nets import NETS, definition
from processes import Nats, Petrel, free_ports
from proxy import Proxy
from world import World

CLIENTS, SLOTS = 24, 100

SCENARIOS = ("kills", "swallow", "cluster", "calm")


def arguments():
    parser = argparse.ArgumentParser(prog="tools/once/run", description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=SCENARIOS, help="what goes wrong")
    parser.add_argument("--petrel", default="target/release/petrel", help="the program to try")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1, help="of what is asked for and when faults come")
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

    def __init__(self, scenario, petrel, seconds, seed, settle, folder):
        self.scenario, self.program, self.seconds = scenario, os.path.abspath(petrel), seconds
        self.settle, self.folder = settle, folder
        self.random = random.Random(seed)
        self.journal = Journal(os.path.join(folder, "journal.jsonl"))
        self.servers, self.petrels, self.proxies = [], [], {}
        self.journal.write("run", scenario=scenario, seconds=seconds, seed=seed, cluster=scenario == "cluster")

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

    async def start(self):
        count = 3 if self.scenario == "cluster" else 1
        ports = free_ports(2 * count + 2)
        routes = ports[count : 2 * count] if count > 1 else None
        for number in range(count):
            route = routes[number] if routes else None
            self.servers.append(Nats(f"nats{number}", ports[number], self.folder, routes, route))
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
            petrel = Petrel(name, self.program, url, ports[2 * count + number], self.folder, replicas)
            self.petrels.append(petrel)
            petrel.start()
            await petrel.ready()

    def trouble(self):
        """The faults of the scenario, as tasks that run until they are cancelled."""
        if self.scenario == "cluster":
            cluster = faults.Cluster(self.servers)
            first = min(5.0, self.seconds / 6)
            kills = cluster.kill_leaders(self.journal, min(25.0, self.seconds / 3), 60.0, 1.0)
            freezes = cluster.freeze_followers(self.journal, self.random, first, 20.0, 3.0)
            return [freezes, kills, faults.restart_what_ended(self.petrels, self.journal)]
        if self.scenario == "calm":
            return []
        tasks = [faults.kill_petrels(self.petrels, self.journal, self.random, 3.0)]
        tasks.append(faults.restart_what_ended(self.petrels, self.journal))
        if self.scenario == "swallow":
            tasks.append(faults.cut_connections(self.proxies, self.journal, self.random))
        return tasks

    async def drive(self):
        ports, has = [petrel.port for petrel in self.petrels], set()
        if self.scenario == "calm":
            ports = ports[:1]
        await prepare(ports, [definition(workflow) for workflow in NETS], has)
        world = World(self.random, SLOTS)
        settings = {"without_ids": 0.25, "drops": 0.04 if self.scenario == "swallow" else 0.005}
        selected = selections(has)
        clients = [Client(world, self.journal, ports, selected, settings) for _ in range(CLIENTS)]
        stop = asyncio.Event()
        trouble = [asyncio.ensure_future(task) for task in self.trouble()]
        work = [asyncio.ensure_future(client.run(stop)) for client in clients]
        for broken in await self.wait(trouble + work):
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
        for petrel in self.petrels:
            await petrel.note_metrics()
            counted = {"races": petrel.races, "retries": petrel.retries, "starts": petrel.started}
            self.journal.write("metrics", p=petrel.name, **counted)
            petrel.signal(15)
        for petrel in self.petrels:
            await petrel.ended()
        await dump(",".join(server.url for server in self.servers), os.path.join(self.folder, "dump.jsonl.gz"))


def run_and_check(options):
    folder = folder_for(options.out)
    print(f"{options.scenario} for {options.minutes:g} minutes, seed {options.seed}, in {folder}", flush=True)
    run = Run(options.scenario, options.petrel, options.minutes * 60, options.seed, options.settle, folder)
    asyncio.run(run.run())
    return check.main([folder])


def self_test(options):
    if options.source:
        return selftest.main(options.source)
    folder = folder_for(options.out)
    asyncio.run(Run("calm", options.petrel, 15.0, options.seed, 5.0, folder).run())
    result = selftest.main(folder)
    if result == 0 and not options.out:
        shutil.rmtree(folder)
    return result


def main():
    options = arguments()
    if options.self_test:
        return self_test(options)
    if options.scenario is None:
        raise SystemExit("which scenario? " + ", ".join(SCENARIOS))
    return run_and_check(options)


if __name__ == "__main__":
    sys.exit(main())
