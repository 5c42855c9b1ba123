"""The log by itself: each case's chain, ids, links, and its net's rules, reckoned anew."""

import hashlib
import json
from bisect import bisect_right

from nets import NETS

PAGE = 64
OPEN = ("running", "paused")


class Record:
    """A message of the log that belongs to a case."""

    def __init__(self, message):
        self.seq, self.time = message["q"], message["ts"]
        self.hash = hashlib.sha256(message["d"]).hexdigest()
        self.body = json.loads(message["d"])
        self.by, self.id = self.body.get("by"), self.body["firing"]
        self.kind = self.body["kind"]

    def at(self):
        return f"{self.body['workflow']}/{self.body['case']} record {self.seq} ({self.kind})"


class CaseLog:
    """A case's records in order, and what its tokens were after each."""

    def __init__(self):
        self.records, self.seqs = [], []
        self.by_seq, self.by_id, self.by_by = {}, {}, {}
        self.tokens = {}  # token -> [(sequence, place or None, data)]
        self.status = []

    def add(self, record):
        self.records.append(record)
        self.seqs.append(record.seq)
        self.by_seq[record.seq] = record

    def head(self):
        return self.records[-1]

    def index_at(self, seq):
        """How many records there are up to a sequence."""
        return bisect_right(self.seqs, seq)


def read_log(messages, report):
    """The cases by (workflow, case)."""
    cases, last = {}, 0
    for message in messages:
        if message["q"] != last + 1:
            report.find("LOST_RECORD", f"the log has nothing between {last} and {message['q']}")
        last = message["q"]
        parts = message["subj"].split(".")
        if "events" not in parts:
            continue
        try:
            record = Record(message)
        except (ValueError, KeyError, TypeError) as error:
            report.find("UNREADABLE", f"{message['subj']} {message['q']}: {error}")
            continue
        key = (record.body["workflow"], record.body["case"])
        if (parts[-4], parts[-1]) != key:
            report.find("UNREADABLE", f"{message['subj']} {message['q']} says it is of {key}")
        cases.setdefault(key, CaseLog()).add(record)
        report.count("records in the log")
    return cases


def check_log(cases, requests, report):
    for log in cases.values():
        check_chain(log, report)
        check_ids(log, report)
        check_links(log, report)
        Replay(log, requests, report).run()


def check_chain(log, report):
    before = None
    for record in log.records:
        previous, named = record.body.get("previous", 0), record.body.get("previous_hash")
        if before is None and previous != 0 or before is not None and previous not in log.by_seq and previous:
            report.find("LOST_RECORD", f"{record.at()} follows {previous}, which is not in the case's log")
        elif before is not None and previous != before.seq:
            report.find("BROKEN_CHAIN", f"{record.at()} follows {previous}, and before it is {before.seq}")
        elif before is not None and named != before.hash:
            report.find("CHANGED_RECORD", f"record {before.seq} is not the one that {record.at()} follows")
        before = record


def check_ids(log, report):
    for record in log.records:
        first = log.by_id.setdefault(record.id, record)
        if first is not record:
            report.find("DOUBLE_ID", f"{record.id} is {first.at()} and {record.at()}, by {record.by}")
        if record.by is None:
            report.find("NOT_AS_ASKED", f"{record.at()} does not say who asked")
            continue
        first = log.by_by.setdefault(record.by, record)
        if first is not record:
            report.find("DONE_TWICE", f"{record.by}: {first.at()} and {record.at()}")


def short_hash(firing):
    return hashlib.sha256(firing.encode()).hexdigest()[:16]


def check_links(log, report):
    """What each record must say of those before it, by the description in src/models/chain.rs."""
    recent, page, pages, unlisted = [], None, [], 0
    previous = 0
    for record in log.records:
        body = record.body
        said = (body.get("recent", []), body.get("page"), body.get("pages", []), body.get("unlisted", 0))
        full = len(recent) >= PAGE
        right = (recent, page, pages if full else [], unlisted)
        began_anew = full and said == ([], None, [], previous)
        if began_anew:
            report.count("lists of earlier records that began anew")
            recent, page, pages, unlisted = [], None, [], previous
        elif said != right:
            for name, one, other in zip(("recent", "page", "pages", "unlisted"), said, right):
                if one != other:
                    report.find("WRONG_LINKS", f"{record.at()}: {name} is {shown(one)}, right is {shown(other)}")
        # What it really has decides what the next must say: one fault is one finding.
        link = [record.seq, short_hash(record.id)]
        if full and not began_anew:
            report.count("pages in the log")
            pages = pages + [record.seq]
            recent, page = [link], {"sequence": record.seq, "hash": record.hash}
        else:
            recent = recent + [link]
        previous = record.seq


def shown(value):
    text = json.dumps(value)
    return text if len(text) < 120 else f"{text[:60]} … {text[-50:]} ({len(value)})"


def merged(data, patch):
    """A JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(data) if isinstance(data, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class Replay:
    """Fires a case's records again by the net's rules and compares."""

    def __init__(self, log, requests, report):
        self.log, self.requests, self.report = log, requests, report
        self.marking = []  # [token, place, sequence], oldest arrival first
        self.data = {}
        self.status, self.made = None, 0

    def run(self):
        for record in self.log.records:
            wrong = self.step(record)
            if wrong:
                self.report.find("DOES_NOT_FOLLOW", f"{record.at()}: {wrong}")
                self.take_over(record)
            self.note(record)

    def place_of(self, token):
        return next((place for name, place, _ in self.marking if name == token), None)

    def step(self, record):
        """The state after a record, or what is wrong with it."""
        body = record.body
        if (self.status is None) != (record.kind == "created"):
            return f"{record.kind} when the case is {self.status}"
        steps = {"fired": self.fired, "created": self.planted, "edited": self.edited}
        wrong = steps.get(record.kind, self.status_changed)(record, body)
        if wrong:
            return wrong
        said = [[e["token"], e["place"], e.get("sequence") or record.seq] for e in body["marking"]]
        if said != self.marking:
            return f"its marking is {said}, and {self.marking} follows"
        if (body["status"], body["tokens_made"]) != (self.status, self.made):
            return f"it says {body['status']}, {body['tokens_made']}, and {self.status}, {self.made} follows"
        places = NETS[body["workflow"]][1]
        for place, most in places.items():
            if sum(at == place for _, at, _ in self.marking) > most:
                return f"place {place} holds more than {most}"
        return None

    def asked(self, record):
        request = self.requests.get(record.by)
        return request["in"] if request else {}

    def arrive(self, record, token, data):
        """What is wrong with a produced token, if something is."""
        self.marking.append([token["id"], token["place"], record.seq])
        self.data[token["id"]] = token["data"]
        return None if token["data"] == data else f"data of {token['id']} is {token['data']}, right is {data}"

    def new_id(self, record):
        self.made += 1
        tag = hashlib.sha256(record.body["workflow"].encode()).hexdigest()[:10]
        return f"{record.body['case']}-{tag}-{self.made}"

    def planted(self, record, body):
        (token,) = body["produced"]
        if self.status is None:
            self.status = "running"
        asked = self.asked(record)
        place = asked.get("initialPlace", NETS[body["workflow"]][0])
        if (token["id"], token["place"]) != (self.new_id(record), place):
            return f"it makes {token['id']} in {token['place']}"
        return self.arrive(record, token, asked.get("data", asked.get("initialData", token["data"])))

    def edited(self, record, body):
        (token,) = body["produced"]
        if self.status not in OPEN:
            return f"it is {self.status}"
        place = self.place_of(token["id"])
        if place is None:
            return self.planted(record, body)
        data = merged(self.data[token["id"]], self.asked(record).get("patch", {}))
        for entry in self.marking:
            if entry[0] == token["id"]:
                entry[2] = record.seq
        self.data[token["id"]] = token["data"]
        if (token["place"], token["data"]) != (place, data):
            return f"{token['id']} in {token['place']} has {token['data']}, right is {data} in {place}"
        return None

    def fired(self, record, body):
        takes, gives = NETS[body["workflow"]][2][body["transition"]]
        if self.status != "running" or body.get("read") or body.get("removed"):
            return f"it fires when {self.status}, reads or removes"
        asked = self.asked(record)
        named = [asked["tokenId"]] if "tokenId" in asked else []
        for token in named:
            if self.place_of(token) not in takes:
                return f"{token} was asked for and is in {self.place_of(token)}"
        taken = []
        for place in takes:
            there = [token for token, at, _ in self.marking if at == place]
            wanted = [token for token in there if token in named] or there
            if not wanted:
                return f"{body['transition']} finds no token in {place}"
            taken.append({"token": wanted[0], "place": place})
        if body["consumed"] != taken:
            return f"it takes {body['consumed']}, right is {taken}"
        data = {}
        for at in taken:
            data = merged(data, self.data[at["token"]])
        data["n"] = self.data[taken[0]["token"]]["n"] + 1
        data = merged(data, asked.get("data", {}))
        gone = [at["token"] for at in taken]
        self.marking = [entry for entry in self.marking if entry[0] not in gone]
        passes = len(takes) == len(gives) == 1
        for token, place in zip(body["produced"], gives, strict=True):
            right = gone[0] if passes else self.new_id(record)
            if (token["id"], token["place"]) != (right, place):
                return f"it makes {token['id']} in {token['place']}, right is {right} in {place}"
            if wrong := self.arrive(record, token, data):
                return wrong
        return None

    def status_changed(self, record, body):
        # A pause of what is paused is a record too where it has an id: that it was asked for.
        allowed = {"paused": ("running",), "resumed": ("paused",), "cancelled": OPEN}
        if (self.requests.get(record.by) or {}).get("id"):
            allowed = dict.fromkeys(allowed, OPEN)
        if self.status not in allowed[record.kind] or body.get("produced") or body.get("consumed"):
            return f"it is {self.status}"
        self.status = {"resumed": "running"}.get(record.kind, record.kind)
        if record.kind == "cancelled":
            removed = [(at["token"], at["place"]) for at in body.get("removed", [])]
            if sorted(removed) != sorted((token, place) for token, place, _ in self.marking):
                return f"it removes {removed} of {self.marking}"
            self.marking = []
        return None

    def take_over(self, record):
        """Goes on with what the record says, so that one fault is one finding."""
        body = record.body
        self.marking = [[e["token"], e["place"], e.get("sequence") or record.seq] for e in body["marking"]]
        self.data |= {token["id"]: token["data"] for token in body.get("produced", [])}
        self.status, self.made = body["status"], body["tokens_made"]

    def note(self, record):
        """The changes of each token, for the reads to be compared with."""
        self.log.status.append(self.status)
        alive = {token: (place, seq) for token, place, seq in self.marking}
        touched = [at["token"] for at in record.body.get("consumed", []) + record.body.get("removed", [])]
        touched += [token["id"] for token in record.body.get("produced", [])]
        for token in dict.fromkeys(touched):
            place = alive[token][0] if token in alive else None
            self.log.tokens.setdefault(token, []).append((record.seq, place, self.data.get(token)))
