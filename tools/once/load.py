"""The clients: changes, repeats, other requests under used ids, and reads in between."""

import asyncio

from graphql import READS, mutation, outcome, said
from http_client import Connection, Dropped, Lost, Unsent
from journal import now

MOST_TRIES = 12
KEPT = 50_000


class Client:
    """One client with connections to each process."""

    def __init__(self, world, journal, ports, selected, settings):
        self.world, self.journal, self.random = world, journal, world.random
        self.ports = ports
        self.idle = [[] for _ in ports]
        self.selected = selected
        self.without_ids = settings["without_ids"]
        self.drops = settings["drops"]

    async def run(self, stop):
        """Works until told to stop; what is under way is finished."""
        while not stop.is_set():
            await self.step()

    def close(self):
        for connection in sum(self.idle, []):
            connection.close()

    def any(self):
        return self.random.randrange(len(self.ports))

    def other(self, process):
        return (process + 1) % len(self.ports)

    async def step(self):
        random, world = self.random, self.world
        case, way = world.case(), random.random()
        if case.revision == 0:
            return await self.begin(case)
        if way < 0.10:
            return await self.read(case, self.any())
        if way < 0.20 and world.acknowledged:
            # Any age: some are from the first seconds.
            used = random.choice(world.acknowledged)
            return await self.insist(used, self.any(), "late")
        if way < 0.24 and world.acknowledged:
            return await self.insist(world.other_under(random.choice(world.acknowledged)), self.any(), "other")
        if way < 0.25:
            again = world.create(case) if random.random() < 0.5 else world.create_otherwise(case)
            return await self.insist(again, self.any(), "other")
        if way < 0.28:
            return await self.race(case)
        with_id = random.random() >= self.without_ids
        request = world.change(case, with_id)
        done = await self.insist(request, self.any(), "first")
        if done and request["op"] == "cancelCase":
            await self.begin(world.next_of(case))

    async def begin(self, case):
        """Begins a case, now and then through both processes at once."""
        request = self.world.create(case, self.random.random() < 0.3)
        if self.random.random() < 0.3:
            tries = [self.insist(request, 0, "race"), self.insist(request, self.other(0), "race")]
            await asyncio.gather(*tries)
        else:
            await self.insist(request, self.any(), "first")

    async def race(self, case):
        """At once through both processes: the same request, another one, or another under its id."""
        world, kind = self.world, self.random.randrange(3)
        one = world.change(case, True)
        other = one if kind == 0 else world.change(case, kind == 1)
        if kind == 2:
            other["id"] = other["in"]["firingId"] = one["id"]
        await asyncio.gather(self.insist(one, 0, "race"), self.insist(other, self.other(0), "race"))

    async def insist(self, request, process, why):
        """Asks until there is an answer that is one: repeated through the other process."""
        repeatable = request["id"] is not None or request["op"] == "createWorkflowInstance"
        for number in range(MOST_TRIES if repeatable else 1):
            drop = repeatable and self.random.random() < self.drops
            answer = await self.send(request, process, why, drop)
            if answer["out"] == "ok":
                await self.after(request, process, why, answer["a"])
                return True
            if answer["out"] == "error" and not answer["retryable"]:
                return False
            process, why = self.other(process), "retry"
            if answer["out"] != "dropped":
                await asyncio.sleep(0.02 * (number + 1))
        return False

    async def after(self, request, process, why, found):
        random, world = self.random, self.world
        request["of"].learn(found)
        if request["id"] is not None and why in ("first", "retry", "race"):
            if len(world.acknowledged) < KEPT:
                world.acknowledged.append(request)
            else:
                world.acknowledged[random.randrange(KEPT)] = request
            if random.random() < 0.2:
                await self.insist(request, self.other(process), "repeat")
        if random.random() < 0.15:
            await self.read(request["of"], self.other(process))

    async def send(self, request, process, why, drop=False):
        """One attempt, and its line in the journal."""
        line = {key: request[key] for key in ("op", "w", "c", "by", "id", "in")}
        line |= {"p": process, "why": why}
        query = mutation(request["op"], self.selected)
        asked = {"input": request["in"]}
        after = self.random.choice([0, 0.001, 0.003, 0.01]) if drop else None
        found = await self.ask(process, query, asked, after, line)
        if line["out"] == "ok":
            line["a"] = said(request["op"], found["it"])
        shown = {k: v for k, v in line.get("a", {}).items() if k != "tokens"}
        self.journal.write("change", **{**line, "a": shown} if shown else line)
        return line

    async def ask(self, process, query, variables, drop_after, line):
        # A connection carries one request at a time, and a race has several under way.
        connection = self.idle[process].pop() if self.idle[process] else Connection(self.ports[process])
        line["t0"], line["w0"] = now()
        found = None
        try:
            answer = await connection.post(query, variables, drop_after)
            line["out"], found = outcome(answer)
            if line["out"] == "error":
                line |= found
        except Dropped:
            line["out"] = "dropped"
        except Unsent:
            line["out"] = "unsent"
        except Lost as error:
            line |= {"out": "lost", "msg": str(error)}
        line["t1"], line["w1"] = now()
        self.idle[process].append(connection)
        return found

    async def read(self, case, process):
        """A read that must see all that was acknowledged before it."""
        kind = self.random.choice(["case", "case", "marking", "token", "token", "history"])
        if kind == "token" and not case.tokens:
            kind = "case"
        if kind == "history":
            return await self.read_history(case, process)
        variables = {"w": case.workflow, "c": case.id}
        line = {"op": kind, "w": case.workflow, "c": case.id, "p": process}
        if kind == "token":
            line["k"] = self.random.choice(list(case.tokens))
            variables = {"w": case.workflow, "k": line["k"]}
        found = await self.ask(process, READS[kind], variables, None, line)
        if line["out"] == "ok":
            line["a"] = found["findToken" if kind == "token" else kind]
        self.journal.write("read", **line)
        if line["out"] == "ok" and kind == "case" and line["a"]:
            seen = {"revision": int(line["a"]["revision"]), "status": line["a"]["status"]}
            seen["tokens"] = {token["id"]: token["placeId"] for token in line["a"]["tokens"]}
            case.learn(seen)

    async def read_history(self, case, process):
        """What came since the last look, page by page, as one read from its last page's beginning."""
        cursor, since = case.history
        records, line = [], {"op": "history", "w": case.workflow, "c": case.id, "p": process, "since": since}
        for _ in range(50):
            variables = {"w": case.workflow, "c": case.id, "after": cursor}
            found = await self.ask(process, READS["history"], variables, None, line)
            if line["out"] != "ok":
                break
            page = found["history"]
            records += [[int(node["sequence"]), node["firingId"]] for node in page["nodes"]]
            cursor = page["pageInfo"]["endCursor"] or cursor
            if not page["pageInfo"]["hasNextPage"]:
                break
        else:
            line["out"] = "unfinished"
        if line["out"] == "ok":
            line["a"] = records
            if records and records[-1][0] > case.history[1]:
                case.history = (cursor, records[-1][0])
        self.journal.write("read", **line)


async def prepare(ports, definitions, has):
    """Stores the definitions, and asks which answers have `repeated`."""
    connection = Connection(ports[0])
    query = "mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) { id } }"
    for definition in definitions:
        answer = await connection.post(query, {"input": definition})
        if answer.get("errors"):
            raise SystemExit(f"createWorkflow: {answer['errors']}")
    for name in ("Token", "NatsToken", "Case"):
        answer = await connection.post(f'{{ __type(name: "{name}") {{ fields {{ name }} }} }}', {})
        fields = ((answer.get("data") or {}).get("__type") or {}).get("fields") or []
        if any(field["name"] == "repeated" for field in fields):
            has.add(name)
    connection.close()
