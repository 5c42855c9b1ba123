"""The clients: changes, repeats, other requests under used ids, and reads in between."""

import asyncio

from graphql import READS, mutation, outcome, said
from http_client import Connection, Dropped, Lost, Unsent
from journal import now
from nets import NETS
from strangers import quarantine_by_command

MOST_TRIES = 12
KEPT = 50_000


class Client:
    """One client with connections to each process."""

    def __init__(self, world, journal, ports, selected, settings):
        self.world, self.journal, self.random = world, journal, world.random
        self.ports = ports
        self.idle = [[] for _ in ports]
        self.selected = selected  # by process
        self.reads_by = settings["reads_by"]
        self.without_ids = settings["without_ids"]
        self.drops = settings["drops"]
        self.command = settings["command"]  # the program, and where NATS is

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
        if case.soiled and random.random() < 0.05:
            return await self.mend(case)
        if way < 0.09:
            return await self.read(case, self.reader())
        if way < 0.10:
            return await self.read_list(case, self.reader())
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
        if way < 0.285:
            return await self.storm(case)
        with_id = random.random() >= self.without_ids
        request = world.change(case, with_id)
        done = await self.insist(request, self.any(), "first")
        if done and request["op"] == "cancelCase":
            await self.begin(world.next_of(case))

    def reader(self, wanted=None):
        return self.random.choice(self.reads_by) if wanted not in self.reads_by else wanted

    async def storm(self, case):
        """Every kind of change at once in one case, and another request under one of their ids."""
        await asyncio.gather(*(self.insist(request, self.any(), "storm") for request in self.world.storm(case)))

    async def mend(self, case):
        """Asks for what can't be read to be put aside; now and then through both processes at once."""
        request = self.world.quarantine(case, self.random.random() < 0.7)
        if self.random.random() < 0.15:
            if await quarantine_by_command(*self.command, request, self.journal):
                case.soiled = False
                if request["id"]:
                    await self.insist(request, self.any(), "repeat")
            return
        tries = [self.insist(request, self.any(), "mend")]
        if self.random.random() < 0.3:
            tries.append(self.insist(self.world.quarantine(case, True), self.any(), "mend"))
        if any(await asyncio.gather(*tries)):
            case.soiled = False

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
            era = self.world.era
            answer = await self.send(request, process, why, drop)
            if answer["out"] == "ok":
                # What an answer says of a log that is gone is not believed.
                await self.after(request, process, why, answer["a"] if era == self.world.era else {})
                return True
            if answer["out"] == "error" and not answer["retryable"]:
                if answer["code"] == "CORRUPT":
                    request["of"].soiled = True
                if answer["code"] == "NOT_FOUND":
                    await self.look(request["of"])
                return False
            process, why = self.other(process), "retry"
            if answer["out"] != "dropped":
                await asyncio.sleep(0.02 * (number + 1))
        return False

    async def after(self, request, process, why, found):
        random, world = self.random, self.world
        if found:
            request["of"].learn(found)
        if request["id"] is not None and why in ("first", "retry", "race", "storm"):
            if len(world.acknowledged) < KEPT:
                world.acknowledged.append(request)
            else:
                world.acknowledged[random.randrange(KEPT)] = request
            if random.random() < 0.2:
                await self.insist(request, self.other(process), "repeat")
        if random.random() < 0.15:
            await self.read(request["of"], self.reader(self.other(process)))

    async def send(self, request, process, why, drop=False):
        """One attempt, and its line in the journal."""
        line = {key: request[key] for key in ("op", "w", "c", "by", "id", "in")}
        line |= {"p": process, "why": why}
        query = mutation(request["op"], self.selected[process])
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

    async def look(self, case):
        """Something was not found: is the case still there?"""
        line = {"op": "case", "w": case.workflow, "c": case.id, "p": (process := self.reader())}
        found = await self.ask(process, READS["case"], {"w": case.workflow, "c": case.id}, None, line)
        if line["out"] == "ok":
            line["a"] = found["case"]
            if found["case"] is None:
                case.revision = 0
        self.journal.write("read", **line)

    async def read_list(self, case, process):
        """All tokens of a place, or all cases with a status."""
        line = {"op": self.random.choice(["tokensInPlace", "cases"]), "w": case.workflow, "p": process}
        if line["op"] == "cases":
            line["st"] = self.random.choice(["RUNNING", "RUNNING", "PAUSED", "PAUSED", "CANCELLED"])
        else:
            line["pl"] = self.random.choice(list(NETS[case.workflow][1]))
        variables = {key: line[key] for key in ("w", "pl", "st") if key in line}
        found = await self.ask(process, READS[line["op"]], variables, None, line)
        if line["out"] == "ok":
            page = found[line["op"]]
            line["a"] = [[node["id"], int(node["revision"]), node.get("status")] for node in page["nodes"]]
            line["more"] = page["pageInfo"]["hasNextPage"]
        self.journal.write("read", **line)

    async def read(self, case, process):
        """A read that must see all that was acknowledged before it."""
        era = self.world.era
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
        if line["out"] == "ok" and kind == "case" and line["a"] and era == self.world.era:
            seen = {"revision": int(line["a"]["revision"]), "status": line["a"]["status"]}
            seen["tokens"] = {token["id"]: token["placeId"] for token in line["a"]["tokens"]}
            case.learn(seen)

    async def read_history(self, case, process):
        """What came since the last look, page by page, as one read from its last page's beginning."""
        (cursor, since), era = case.history, self.world.era
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
            if records and records[-1][0] > case.history[1] and era == self.world.era:
                case.history = (cursor, records[-1][0])
        self.journal.write("read", **line)


async def prepare(port, definitions):
    """Stores the definitions, and asks which answers have `repeated`."""
    connection, has = Connection(port), set()
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
    return has
