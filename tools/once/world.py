"""What the clients believe of the cases: good enough to ask for what mostly can happen."""

import hashlib
import time

from nets import NETS

WORKFLOWS = list(NETS)


class Case:
    """The case that has a slot now."""

    def __init__(self, slot, generation):
        self.slot, self.generation = slot, generation
        self.workflow = WORKFLOWS[slot % len(WORKFLOWS)]
        self.id = f"k{slot}-{generation}"
        self.tokens = {}
        self.revision = 0
        self.soiled = False  # somebody wrote into its log what is no record
        self.status = "RUNNING"
        self.history = (None, 0)  # the cursor up to which the history was read, and its sequence

    def learn(self, found):
        revision = found.get("revision", found.get("seq", 0))
        if revision < self.revision:
            return
        self.revision = revision
        if "tokens" in found:
            self.tokens, self.status = dict(found["tokens"]), found["status"]
        elif "token" in found:
            self.tokens[found["token"]] = found["place"]

    def fireable(self):
        """Transitions that can fire by what is believed, each with a token that it would take."""
        places = {}
        for token, place in self.tokens.items():
            places.setdefault(place, token)
        _, _, transitions = NETS[self.workflow]
        return [
            (name, places[takes[0]], gives[0])
            for name, (takes, gives) in transitions.items()
            if all(place in places for place in takes)
        ]


def first_token(case):
    """The id of the token that a case begins with, by the description in docs/storage.md."""
    tag = hashlib.sha256(case.workflow.encode()).hexdigest()[:10]
    return f"{case.id}-{tag}-1"


class World:
    def __init__(self, random, slots, quarantines=True):
        self.quarantines = quarantines
        self.era, self.era_began = 0, time.monotonic()
        self.soiled = []  # cases that were written into
        self.random = random
        self.cases = [Case(slot, 0) for slot in range(slots)]
        self.acknowledged = []  # requests with ids that were answered as done
        self.number = 0

    def forget(self):
        """The log went back: what is known of the cases may be gone."""
        self.era, self.era_began = self.era + 1, time.monotonic()
        for case in self.cases:
            case.revision, case.history = 0, (None, 0)

    def case(self):
        """Some case; one of ten that all clients fight for a third of the time."""
        hot = self.random.random() < 0.33
        return self.random.choice(self.cases[:10] if hot else self.cases)

    def next_of(self, case):
        """The case that takes over a slot."""
        fresh = Case(case.slot, case.generation + 1)
        if self.cases[case.slot] is case:
            self.cases[case.slot] = fresh
        return self.cases[case.slot]

    def by(self):
        """The name of a logical request: all its repeats have it, and no other."""
        self.number += 1
        return f"r{self.number}"

    def request(self, operation, case, with_id, **fields):
        by = self.by()
        request = {"op": operation, "w": case.workflow, "c": case.id, "by": by, "of": case}
        request["id"] = f"f{by}" if with_id else None
        request["in"] = {"triggeredBy": by, **fields}
        if with_id and operation != "createWorkflowInstance":
            request["in"]["firingId"] = request["id"]
        if operation == "createWorkflowInstance":
            request["id"] = None
        return request

    def create(self, case, with_id=False):
        where = {"workflowId": case.workflow, "caseId": case.id}
        if with_id:
            return self.request("createToken", case, True, **where, data={"n": 0})
        return self.request("createWorkflowInstance", case, False, **where, initialData={"n": 0})

    def create_otherwise(self, case):
        where = {"workflowId": case.workflow, "caseId": case.id}
        return self.request("createWorkflowInstance", case, False, **where, initialData={"n": 999})

    def quarantine(self, case, with_id):
        where = {"workflowId": case.workflow, "caseId": case.id}
        return self.request("quarantineCase", case, with_id, **where, reason="so")

    def storm(self, case):
        """A request of every kind, to be under way at once; two of them under one id."""
        where = {"workflowId": case.workflow, "caseId": case.id}
        tokens = list(case.tokens)
        token = self.random.choice(tokens) if tokens else first_token(case)
        transition, place = self.some_transition(case)
        transition, takes, place = self.random.choice(case.fireable() or [(transition, token, place)])
        with_id = lambda: self.random.random() < 0.75
        both = {"tokenId": takes, "transitionId": transition}
        requests = [
            self.create(case), self.create_otherwise(case),
            self.request("createToken", case, with_id(), **where, data={"n": 0}),
            self.request("updateTokenData", case, with_id(), tokenId=token, patch={"edit": self.number}),
            self.request("fireCase", case, with_id(), **where, transitionId=transition),
            self.request("fireTransition", case, with_id(), **both),
            self.request("transitionTokenWithNats", case, with_id(), newPlace=place, **both),
            self.request("pauseCase", case, with_id(), **where, reason="so"),
            self.request("resumeCase", case, with_id(), **where, reason="on"),
        ]
        if self.quarantines:
            requests.append(self.quarantine(case, with_id()))
        if self.random.random() < 0.05:
            requests.append(self.request("cancelCase", case, with_id(), **where, reason="so"))
        used = self.random.choice([one for one in requests if one["id"]] or [self.change(case, True)])
        requests.append(self.other_under(used))
        self.random.shuffle(requests)
        return requests

    def some_transition(self, case):
        return self.random.choice([(name, gives[0]) for name, (_, gives) in NETS[case.workflow][2].items()])

    def change(self, case, with_id):
        """A change of a case, of any kind."""
        random = self.random
        where = {"workflowId": case.workflow, "caseId": case.id}
        if case.status == "PAUSED" and random.random() < 0.8:
            return self.request("resumeCase", case, with_id, **where, reason="on")
        if self.quarantines and random.random() < 0.01:
            return self.quarantine(case, with_id)
        kinds = ["fire"] * 60 + ["edit"] * 10 + ["add"] * 4 + ["pause"] * 2 + ["resume"]
        kind = "cancel" if random.random() < 0.002 else random.choice(kinds)
        token = random.choice(list(case.tokens)) if case.tokens else None
        if kind == "edit" and token:
            fields = {"tokenId": token, "patch": {"edit": self.number}}
            if random.random() < 0.5:
                fields["workflowId"] = case.workflow
            return self.request("updateTokenData", case, with_id, **fields)
        if kind == "add":
            place = random.choice(list(NETS[case.workflow][1]))
            fields = {**where, "initialPlace": place, "data": {"n": 0}}
            return self.request("createToken", case, with_id, **fields)
        if kind in ("pause", "resume", "cancel"):
            return self.request(f"{kind}Case", case, with_id, **where, reason="so")
        return self.fire(case, with_id, where)

    def fire(self, case, with_id, where):
        random = self.random
        fireable = case.fireable()
        if not fireable or random.random() < 0.03:
            transition = random.choice(list(NETS[case.workflow][2]))
            return self.request("fireCase", case, with_id, **where, transitionId=transition)
        transition, token, place = random.choice(fireable)
        extra = {"data": {"last": self.number}} if random.random() < 0.5 else {}
        if case.revision and random.random() < 0.04:
            extra["expectedRevision"] = str(case.revision)
        way = random.random()
        if way < 0.55:
            return self.request("fireCase", case, with_id, **where, transitionId=transition, **extra)
        fields = {"tokenId": token, "transitionId": transition, **extra}
        if way < 0.8:
            return self.request("fireTransition", case, with_id, **fields)
        return self.request("transitionTokenWithNats", case, with_id, newPlace=place, **fields)

    def other_under(self, used):
        """A different request under an id that was acknowledged."""
        case = used["of"]
        other = self.change(case, True)
        for _ in range(20):
            if other["op"] != "cancelCase" and not same_request(other, used):
                break
            other = self.change(case, True)
        other["id"] = other["in"]["firingId"] = used["id"]
        return other


def same_request(one, other):
    """Whether they may be one to the engine; rather too often than too seldom."""
    ignored = ("triggeredBy", "firingId", "expectedRevision", "workflowId", "caseId", "tokenId", "newPlace")
    bare = lambda request: {key: value for key, value in request["in"].items() if key not in ignored}
    return bare(one) == bare(other)
