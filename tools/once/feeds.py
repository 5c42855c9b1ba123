"""Subscriptions that are cut again and again, and go on after the last sequence they gave."""

import asyncio
import json
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from world import first_token

EVENT = "sequence caseId firingId kind"
SUBSCRIPTIONS = {
    "workflowEvents": "subscription($w: ID!, $from: Sequence) {"
    f" it: workflowEvents(workflowId: $w, fromSequence: $from) {{ {EVENT} }} }}",
    "caseEvents": "subscription($w: ID!, $c: ID!, $from: Sequence) {"
    f" it: caseEvents(workflowId: $w, caseId: $c, fromSequence: $from) {{ {EVENT} }} }}",
    "tokenUpdates": "subscription($w: ID!, $k: ID!, $from: Sequence) {"
    " it: tokenUpdates(workflowId: $w, tokenId: $k, fromSequence: $from) { revision placeId data } }",
}
# How long after the last one nothing more is waited for, at the end of a run.
QUIET = 4.0
# A feed whose log goes back must end; so long is waited for that.
GOES_BACK = 20.0


def scopes(cases):
    """What is followed: every workflow, twelve cases, and the first tokens of as many."""
    found = [{"op": "workflowEvents", "w": workflow} for workflow in dict.fromkeys(c.workflow for c in cases)]
    found += [{"op": "caseEvents", "w": case.workflow, "c": case.id} for case in cases[:12]]
    return found + [
        {"op": "tokenUpdates", "w": case.workflow, "c": case.id, "k": first_token(case)} for case in cases[:12]
    ]


def item(operation, payload):
    """What the checker compares of one message: the record, or where one could not be read."""
    errors, it = payload.get("errors"), (payload.get("data") or {}).get("it")
    if errors:
        said = errors[0].get("extensions") or {}
        sequence, text = int(said.get("sequence") or 0), errors[0].get("message", "")
        return {"error": said.get("code"), "q": sequence, "msg": text[:200]}
    if operation == "tokenUpdates":
        return {"q": int(it["revision"]), "place": it["placeId"], "data": it["data"]}
    return {"q": int(it["sequence"]), "c": it["caseId"], "id": it["firingId"], "kind": it["kind"]}


class Watcher:
    """One scope, followed through any of the processes."""

    def __init__(self, world, journal, ports, scope):
        self.world, self.journal, self.random = world, journal, world.random
        self.ports, self.scope = ports, scope
        self.last, self.era = 0, 0
        self.over = False

    async def run(self, stop):
        while not stop.is_set() and not self.over:
            await self.period(self.random.uniform(0.3, 4.0))

    def begin_anew(self):
        if self.era != self.world.era:
            self.last, self.era = 0, self.world.era

    async def drain(self):
        """All that is left, once nothing changes any more."""
        self.begin_anew()
        for _ in range(10):
            if self.over or await self.period(None) == "drained":
                return

    async def period(self, seconds):
        """One connection, until it is cut: journalled with all that it gave."""
        era = self.world.era
        if era != self.era and self.random.random() < 0.5:
            # What was given may be gone. Who does not begin anew is told where the log is shorter.
            self.begin_anew()
        process = self.random.randrange(len(self.ports))
        line = {**self.scope, "p": process, "from": self.last + 1, "a": []}
        line |= {"era": self.era, "stale": self.era != era, "t0": time.monotonic(), "w0": time.time()}
        url = f"ws://127.0.0.1:{self.ports[process]}/graphql"
        try:
            options = {"compression": None, "ping_interval": None, "open_timeout": 15}
            socket = await connect(url, subprotocols=["graphql-transport-ws"], **options)
            try:
                line["end"] = await self.follow(socket, line, seconds, era)
            finally:
                socket.transport.abort()
        except (OSError, ConnectionClosed, InvalidHandshake, asyncio.TimeoutError) as error:
            line |= {"end": "lost", "msg": f"{type(error).__name__} {error}"[:200]}
        line |= {"t1": time.monotonic(), "w1": time.time()}
        while line["end"] in ("cut", "lost") and line["a"] and "error" in line["a"][-1]:
            # It may have been on its way to a refusal; who goes on after the last record gets it again.
            line["a"].pop()
        self.journal.write("feed", **line)
        self.last = max([self.last] + [one["q"] for one in line["a"]])
        if line.get("code") == "LOG_WENT_BACK":
            self.begin_anew()
        self.over = line["end"] == "complete"
        if line["end"] in ("lost", "refused"):
            await asyncio.sleep(0.2)
        return line["end"]

    async def follow(self, socket, line, seconds, era):
        await socket.send(json.dumps({"type": "connection_init"}))
        variables = {key: self.scope[key] for key in "wck" if key in self.scope} | {"from": str(line["from"])}
        if self.scope["op"] == "tokenUpdates":
            del variables["c"]
        payload = {"query": SUBSCRIPTIONS[self.scope["op"]], "variables": variables}
        began = time.monotonic()
        most = self.random.choice([None, None, 1, 3, 20]) if seconds else None
        while most is None or len(line["a"]) < most or self.went_back(era, line):
            wait = QUIET if seconds is None else began + seconds - time.monotonic()
            if self.went_back(era, line):
                wait = max(wait, self.world.era_began + GOES_BACK - time.monotonic())
            try:
                message = json.loads(await asyncio.wait_for(socket.recv(), max(wait, 0.001)))
            except asyncio.TimeoutError:
                if self.went_back(era, line) and time.monotonic() < self.world.era_began + GOES_BACK:
                    continue
                return "drained" if seconds is None else "cut"
            if message["type"] == "connection_ack":
                await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            elif message["type"] == "ping":
                await socket.send(json.dumps({"type": "pong"}))
            elif message["type"] == "next":
                found = item(self.scope["op"], message["payload"])
                if "error" in found and found["error"] != "CORRUPT":
                    return self.ended(line, found["error"], found["msg"])
                line["a"].append(found)
            elif message["type"] == "error":
                said = message["payload"][0]
                return self.ended(line, (said.get("extensions") or {}).get("code"), said.get("message", ""))
            elif message["type"] == "complete":
                if line["a"] and "error" in line["a"][-1]:
                    # It never began: its case can't be read.
                    refused = line["a"].pop()
                    return self.ended(line, refused["error"], refused["msg"])
                return "complete"
        return "cut"

    def went_back(self, era, line):
        return self.world.era != era and bool(line["a"])

    @staticmethod
    def ended(line, code, text):
        line |= {"code": code, "msg": text[:200]}
        return "refused"
