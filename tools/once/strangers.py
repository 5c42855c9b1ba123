"""Another program's hand: messages that are no records, no tokens and no definitions, where such belong."""

import asyncio
import time

import nats

# A stranger writes nothing but these, so that the checker knows it whatever became of the answer.
MARK = b"once-stranger"
BODIES = (
    b"\xff\xfe\x00 " + MARK,
    b'{"' + MARK + b'":true}',
    b'{"format":1,"kind":"fired","by":"' + MARK,
    b'["' + MARK + b'"]',
)
SOILED = 4  # one of so many slots


class Stranger:
    def __init__(self, url, world, journal, random):
        self.url, self.world, self.journal, self.random = url, world, journal, random

    async def run(self, every):
        connection = await nats.connect(self.url)
        try:
            while True:
                await asyncio.sleep(self.random.uniform(0.5, 1.5) * every)
                await self.write(connection.jetstream(timeout=5))
        finally:
            await connection.close()

    async def write(self, jetstream):
        random = self.random
        cases = [case for case in self.world.cases if case.revision and case.slot % SOILED == 1 and case.tokens]
        if not cases:
            return
        case, what = random.choice(cases), random.choice(["case", "case", "case", "token", "definition"])
        begins = f"cb.workflows.{case.workflow}"
        line = {"what": what, "w": case.workflow, "c": case.id}
        if what == "case":
            subject = f"{begins}.events.{random.choice(['transitions', 'lifecycle'])}.{case.id}"
        elif what == "token":
            line["k"], place = random.choice(list(case.tokens.items()))
            subject = f"{begins}.places.{place}.tokens.{line['k']}"
        else:
            subject = f"{begins}.definition"
        line |= {"subject": subject, "t0": time.monotonic(), "w0": time.time()}
        try:
            line["q"] = (await jetstream.publish(subject, random.choice(BODIES))).seq
        except (nats.errors.Error, asyncio.TimeoutError) as error:
            line["msg"] = str(error)
        line |= {"t1": time.monotonic(), "w1": time.time()}
        self.journal.write("stranger", **line)
        if what == "case":
            case.soiled = True
            self.world.soiled.append(case)


async def quarantine_by_command(program, url, request, journal):
    """`petrel case quarantine`; whether it says that it did it."""
    asked = request["in"]
    command = ["case", "quarantine", request["w"], request["c"], "--reason", asked["reason"], "--json"]
    command += ["--by", request["by"], "--nats-url", url]
    command += ["--firing-id", request["id"]] if request["id"] else []
    line = {key: request[key] for key in ("op", "w", "c", "by", "id", "in")}
    # What it printed is not compared: to the checker it is an answer that was thrown away.
    line |= {"p": -1, "why": "command", "out": "dropped", "t0": time.monotonic(), "w0": time.time()}
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    child = await asyncio.create_subprocess_exec(program, *command, **pipes)
    printed, _ = await child.communicate()
    line |= {"t1": time.monotonic(), "w1": time.time(), "exit": child.returncode, "msg": printed.decode()[-300:]}
    journal.write("change", **line)
    return child.returncode == 0


async def rebuild(program, url, journal):
    """`petrel rebuild`, which is what views that a stranger wrote need."""
    pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.STDOUT}
    child = await asyncio.create_subprocess_exec(
        program, "rebuild", "--remove-unknown", "--json", "--nats-url", url, **pipes)
    printed, _ = await child.communicate()
    journal.write("rebuild", exit=child.returncode, msg=printed.decode()[-2000:])


def is_strange(message):
    return message["d"] in BODIES


def journalled(lines, what):
    """What was written, where the server said so: sequence -> line."""
    return {line["q"]: line for line in lines if line["t"] == "stranger" and line["what"] == what and "q" in line}
