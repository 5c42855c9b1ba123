"""Besieges one `petrel serve` over HTTP, websocket and NATS, and asks whether it lives and answers.

The server may have so much memory as --memory says, the kernel sees to it: by a control group, as of a
container, or where none can be made by RLIMIT_DATA, which counts what is mapped and not used, too. A prober in a
process of its own asks /livez every 50 ms on a new connection. The end: exit 0 if the server is the same
process, every answer of /livez came within 100 ms (and the time by which the prober itself was late), and a
client that behaves well got what it asked for.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path


import documents
from garbage import attack_http, attack_nats, attack_websocket

LIVEZ_WITHIN = 0.1


def control_group(memory):
    """A new control group of so many bytes, as a container has; None where none can be made."""
    for root, limit in (("memory/", "memory.limit_in_bytes"), ("", "memory.max")):
        group = Path(f"/sys/fs/cgroup/{root}siege-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(memory))
            return group
        except OSError:
            group.rmdir()
    return None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def probe(port, results, stop):
    """Asks /livez; says how long it took, and how late this process itself was."""
    asyncio.run(probing(port, results, stop))


async def probing(port, results, stop):
    due, asked = time.monotonic(), set()
    while not stop.is_set():
        due += 0.05
        await asyncio.sleep(max(0, due - time.monotonic()))
        late = max(0, time.monotonic() - due)
        due = max(due, time.monotonic() - 0.05)
        task = asyncio.create_task(one_probe(port, late, results))
        asked.add(task)
        task.add_done_callback(asked.discard)


async def one_probe(port, late, results):
    begun, connected = time.monotonic(), []
    try:
        status = await asyncio.wait_for(livez(port, connected), 5)
    except Exception as error:
        status = type(error).__name__
    took = time.monotonic() - begun
    results.put((connected[0] - begun if connected else took, took, late, status))


async def livez(port, connected):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    connected.append(time.monotonic())
    try:
        writer.write(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        return int((await reader.readline()).split()[1])
    finally:
        writer.close()


async def post(port, value, within=10):
    """One request of a client that behaves well."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    head = f"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(data)}\r\nconnection: close\r\n\r\n"

    async def ask():
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
        try:
            writer.write(head.encode() + data)
            await writer.drain()
            answer = await reader.read()
            return json.loads(answer.split(b"\r\n\r\n", 1)[1])
        finally:
            writer.close()

    return await asyncio.wait_for(ask(), within)


class World:
    """The servers, and what is in them."""

    def __init__(self, arguments):
        self.folder = tempfile.mkdtemp(prefix="siege-")
        self.nats_port, self.port = free_port(), free_port()
        self.nats_url = f"nats://127.0.0.1:{self.nats_port}"
        binary = Path(sys.executable).parent / "nats-server"
        config = ["-js", "-sd", self.folder, "-a", "127.0.0.1", "-p", str(self.nats_port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.nats = subprocess.Popen([binary, *config], **quiet)
        memory = arguments.memory * 1024 * 1024
        self.group = control_group(memory)
        self.limit = "a control group" if self.group else "RLIMIT_DATA"

        def limited():
            if self.group:
                (self.group / "cgroup.procs").write_text(str(os.getpid()))
            else:
                resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))

        self.log = open(Path(self.folder) / "petrel.log", "wb")
        wait_for(self.nats_port)
        command = [arguments.petrel, "serve", "--nats-url", self.nats_url, "--listen", f"127.0.0.1:{self.port}"]
        self.petrel = subprocess.Popen(command, preexec_fn=limited, stdout=self.log, stderr=self.log)
        wait_for(self.port)
        self.arguments = arguments

    def peak(self):
        """The most resident memory so far, in MB; None where the process is gone."""
        try:
            status = Path(f"/proc/{self.petrel.pid}/status").read_text()
        except OSError:
            return None
        lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(lines[0].split()[1]) // 1024 if lines else None

    async def fill(self):
        ask = lambda query: post(self.port, {"query": query})
        loop = 'places:[{id:"a"},{id:"b"}],initialPlace:"a",transitions:[{id:"go",inputs:[{place:"a"}],outputs:[{place:"b"}]},{id:"back",inputs:[{place:"b"}],outputs:[{place:"a"}]}]'
        guard = "token.data.l.all(a, token.data.l.all(b, !(-1 in token.data.m)))"
        slow = f'places:[{{id:"a"}},{{id:"b"}}],initialPlace:"a",transitions:[{{id:"go",inputs:[{{place:"a"}}],outputs:[{{place:"b"}}],conditions:["{guard}"]}}]'
        failures = []
        for name, net in (("w0", loop), ("w1", loop), ("w2", slow)):
            failures += (await ask(f'mutation{{createWorkflow(input:{{id:"{name}",name:"{name}",{net}}}){{__typename}}}}')).get("errors", [])
        cases = [("w0", f"c{number}", {"amount": number}) for number in range(50)]
        cases.append(("w2", "guarded", {"l": list(range(290)), "m": list(range(50_000))}))
        cases.append(("w0", "big", {"text": "x" * 900_000}))
        query = "mutation($input: CreateWorkflowInstanceInput!) { createWorkflowInstance(input: $input) { __typename } }"
        for workflow, case, data in cases:
            value = {"workflowId": workflow, "caseId": case, "initialData": data}
            answer = await post(self.port, {"query": query, "variables": {"input": value}})
            failures += answer.get("errors", [])
        if failures:
            raise SystemExit(f"the store was not filled: {failures[:3]}")
        answer = await post(self.port, {"query": documents.INTROSPECTION})
        return documents.Schema(answer)

    def end(self):
        for process in (self.petrel, self.nats):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self.group:
            self.group.rmdir()


def wait_for(port):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


async def behave(world, until, counts, wrong):
    """A client that behaves well: it changes cases, and reads what it has changed."""
    number = 0
    while time.monotonic() < until:
        number += 1
        case = f"good-{number}"
        create = f'mutation{{createWorkflowInstance(input:{{workflowId:"w1",caseId:"{case}",initialData:{{n:{number}}}}}){{__typename}}}}'
        fire = f'mutation{{fireCase(input:{{workflowId:"w1",caseId:"{case}",transitionId:"go",firingId:"once"}}){{__typename}}}}'
        for query in (create, fire, fire):
            await asked(world, query, until, counts, wrong)
        await asyncio.sleep(0.1)


async def asked(world, query, until, counts, wrong):
    while time.monotonic() < until:
        try:
            answer = await post(world.port, {"query": query})
        except Exception as error:
            counts[f"good: {type(error).__name__}"] += 1
            await asyncio.sleep(0.2)
            continue
        errors = answer.get("errors")
        if not errors:
            counts["good: answered"] += 1
            return
        extensions = errors[0].get("extensions", {})
        counts[f"good: {extensions.get('code')}"] += 1
        if not extensions.get("retryable"):
            wrong.append(f"a client that behaves well was told {errors[0]}")
            return
        await asyncio.sleep(0.2)


async def besiege(arguments):
    world = World(arguments)
    results, stop = multiprocessing.Queue(), multiprocessing.Event()
    prober = multiprocessing.Process(target=probe, args=(world.port, results, stop), daemon=True)
    counts, wrong, probes = Counter(), [], []
    try:
        schema = await world.fill()
        prober.start()
        until = time.monotonic() + arguments.minutes * 60
        rng = random.Random(arguments.seed)
        tasks = [behave(world, until, counts, wrong)]
        attacks = [attack_http] * 6 + [attack_websocket] * 4 + [attack_nats] * 2
        for attack in attacks:
            tasks.append(attack(world, schema, random.Random(rng.random()), until, counts))
        work = asyncio.gather(*tasks)
        while not work.done() and world.petrel.poll() is None:
            while not results.empty():
                probes.append(results.get())
            await asyncio.sleep(0.2)
        if world.petrel.poll() is not None:
            wrong.append(f"the server ended: {world.petrel.returncode}; the end of its log follows")
            work.cancel()
        else:
            await work
        await asyncio.sleep(1)
        stop.set()
        while not results.empty():
            probes.append(results.get())
        report(world, probes, counts, wrong)
    finally:
        stop.set()
        world.end()
        world.log.close()
    if wrong:
        tail = Path(world.log.name).read_bytes()[-3_000:].decode(errors="replace")
        print("\n".join(wrong[:20]), f"\n{len(wrong)} findings\n{tail}")
    return 1 if wrong else 0


def report(world, probes, counts, wrong):
    for key, value in sorted(counts.items()):
        print(f"{value:9} {key}")
    times = sorted(took for _, took, _, status in probes if status == 200)
    slow = [p for p in probes if p[3] != 200 or p[1] > LIVEZ_WITHIN + p[2]]
    if times:
        middle, high = times[len(times) // 2], times[len(times) * 99 // 100]
        print(f"/livez: {len(probes)} asked, p50 {middle * 1e3:.1f} ms, p99 {high * 1e3:.1f} ms, most {times[-1] * 1e3:.1f} ms, {len(slow)} late or failed")
    for connected, took, late, status in slow[:10]:
        wrong.append(f"/livez: {status} after {took * 1e3:.0f} ms, connected after {connected * 1e3:.0f} ms (the prober was {late * 1e3:.0f} ms late)")
    if not times:
        wrong.append("/livez never answered")
    print(f"memory: at most {world.peak()} MB resident, limited by {world.limit}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--petrel", required=True, help="the program")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--memory", type=int, default=512, help="MB of memory")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.minutes} minutes, {arguments.memory} MB, load {os.getloadavg()[0]:.1f}")
    return asyncio.run(besiege(arguments))


if __name__ == "__main__":
    sys.exit(main())
