"""The log by itself: each case's chain, ids, links, and its net's rules, reckoned anew."""

import base64
import hashlib
import json
import sys

from nets import NETS
from records import body_of
from strangers import is_strange

PAGE = 64
OPEN = ("running", "paused")
LISTS = ("links", "page", "pages", "unlisted")


class Record:
    """What is kept of a message of the log that belongs to a case."""

    __slots__ = ("seq", "time", "hash", "by", "id", "kind", "workflow", "case", "transition", "previous",
                 "status", "marking", "aside", "older")

    def __init__(self, message, body):
        self.seq, self.time = message["q"], message["ts"]
        self.hash = hashlib.sha256(message["d"]).hexdigest()
        self.by, self.id, self.kind = body.get("by"), body["firing"], body["kind"]
        self.workflow, self.case = body["workflow"], body["case"]
        self.transition, self.previous = body.get("transition"), body.get("previous", 0)
        self.status = body["status"]
        self.aside = [tuple(part) for part in body.get("aside", [])]
        # Records of older versions have no lists of those before them.
        self.older = bool(self.previous) and not any(body.get(name) for name in LISTS)
        entries = (
            (sys.intern(e["token"]), sys.intern(e["place"]), e.get("sequence") or self.seq)
            for e in body["marking"]
        )
        self.marking = tuple(entries)

    def at(self):
        return f"{self.workflow}/{self.case} record {self.seq} ({self.kind})"


class CaseLog:
    """A case's records in order, and what its tokens were after each."""

    def __init__(self, requests, report, scenario):
        self.report, self.scenario = report, scenario
        self.records, self.seqs, self.times = [], [], []
        self.garbage = []  # (sequence, time) of what is no record
        self.suspects = []  # what does not follow where the log was put back: (record, finding, text)
        self.quarantines, self.windows, self.twice = [], [], set()
        self.by_seq, self.by_id, self.by_by = {}, {}, {}
        self.tokens = {}  # token -> [(sequence, place or None, data)]
        self.links = Links(report, scenario == "old")
        self.replay = Replay(self, requests, report)

    def add(self, record, body):
        wrong = self.check_chain(record, body)
        if wrong and self.scenario == "back":
            # A record that was under way when the log was put back may be put aside.
            return self.suspects.append((record, *wrong))
        if wrong:
            self.report.find(*wrong)
        if record.kind == "quarantined":
            self.quarantines.append(record)
        last = self.last()
        self.records.append(record)
        self.seqs.append(record.seq)
        self.times.append(record.time)
        self.by_seq[record.seq] = record
        self.check_ids(record)
        self.links.check(record, body, last)
        self.replay.check(record, body)
        return None

    def last(self):
        """The last message, whatever it is."""
        bad = [seq for seq, _ in self.garbage] + [suspect.seq for suspect, _, _ in self.suspects]
        return max(self.seqs[-1:] + bad, default=0)

    def head(self):
        return self.records[-1]

    def judge_suspects(self):
        """What does not follow is a finding unless somebody has put it aside."""
        for record, finding, text in self.suspects:
            if any(first <= record.seq <= last for q in self.quarantines for first, last in q.aside):
                self.report.count("records that did not follow after the log was put back, and were put aside")
            else:
                self.report.find(finding, text)

    def check_chain(self, record, body):
        """The finding and its text, if it does not follow the one before."""
        before = self.records[-1] if self.records else None
        previous = record.previous
        if previous and previous not in self.by_seq:
            return "LOST_RECORD", f"{record.at()} follows {previous}, which is not in the case's log"
        if previous != (before.seq if before else 0):
            return "BROKEN_CHAIN", f"{record.at()} follows {previous}, and before it is {before and before.seq}"
        if before is not None and body.get("previous_hash") != before.hash:
            return "CHANGED_RECORD", f"record {before.seq} is not the one that {record.at()} follows"
        return None

    def check_ids(self, record):
        first = self.by_id.setdefault(record.id, record)
        if first is not record and self.scenario == "old" and record.older:
            # An older version looks for ids in its own way: of that nothing is promised.
            self.twice.add(record.id)
            return self.report.count("ids that the older version stored again")
        if first is not record:
            what = f"{record.id} is {first.at()} and {record.at()}, by {record.by}"
            self.report.find("DOUBLE_ID", what)
        if record.by is None:
            return self.report.find("NOT_AS_ASKED", f"{record.at()} does not say who asked")
        first = self.by_by.setdefault(record.by, record)
        if first is not record:
            self.report.find("DONE_TWICE", f"{record.by}: {first.at()} and {record.at()}")
        return None


class Logs:
    """All cases by (workflow, case), made of the log's messages in their order."""

    def __init__(self, requests, report, scenario):
        self.requests, self.report, self.scenario = requests, report, scenario
        self.cases, self.last = {}, 0

    def add(self, message):
        if message["q"] != self.last + 1:
            what = f"the log has nothing between {self.last} and {message['q']}"
            self.report.find("LOST_RECORD", what)
        self.last = message["q"]
        parts = message["subj"].split(".")
        if "events" not in parts:
            return
        if is_strange(message):
            return self.case((parts[-4], parts[-1])).garbage.append((message["q"], message["ts"]))
        try:
            body = body_of(message)
            record = Record(message, body)
        except (ValueError, KeyError, TypeError) as error:
            self.report.find("UNREADABLE", f"{message['subj']} {message['q']}: {error}")
            return
        key = (record.workflow, record.case)
        if (parts[-4], parts[-1]) != key:
            self.report.find("UNREADABLE", f"{message['subj']} {message['q']} says it is of {key}")
        self.case(key).add(record, body)
        self.report.count("records in the log")
        if self.scenario == "old":
            self.report.count("records in the log: by the older version" if record.older
                              else "records in the log: with lists")

    def case(self, key):
        if key not in self.cases:
            self.cases[key] = CaseLog(self.requests, self.report, self.scenario)
        return self.cases[key]


def links_of(body):
    """The links of a record, as [sequence, hash], by docs/storage.md; `recent` is the earlier form."""
    if "links" not in body:
        return body.get("recent", [])
    data = base64.urlsafe_b64decode(body["links"] + "=" * (-len(body["links"]) % 4))
    links, at, sequence = [], 0, 0
    while at < len(data):
        distance, shift = 0, 0
        while True:
            byte, at = data[at], at + 1
            distance |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        sequence += distance
        links.append([sequence, data[at : at + 8].hex()])
        at += 8
    return links


def links_text(links):
    """The stored text of links."""
    data, before = bytearray(), 0
    for sequence, digits in links:
        distance, before = sequence - before, sequence
        while distance >= 0x80:
            data.append(0x80 | distance & 0x7F)
            distance >>= 7
        data.append(distance)
        data += bytes.fromhex(digits)
    return base64.urlsafe_b64encode(bytes(data)).decode().rstrip("=")


def short_hash(firing):
    return hashlib.sha256(firing.encode()).hexdigest()[:16]


class Links:
    """What each record must say of those before it, by the description in src/models/chain.rs."""

    def __init__(self, report, with_older):
        self.report, self.with_older = report, with_older
        self.recent, self.page, self.pages, self.unlisted = [], None, [], 0
        self.last = 0

    def check(self, record, body, last):
        """`last` is the last message of the case before it, whatever that is."""
        said = (links_of(body), body.get("page"), body.get("pages", []), body.get("unlisted", 0))
        if record.kind == "quarantined":
            self.recent, self.page, self.pages, self.unlisted = [], None, [], last
        if self.with_older and record.older:
            self.recent, self.page, self.pages, self.unlisted = [], None, [], record.seq
            self.last = record.seq
            return
        full = len(self.recent) >= PAGE
        right = (self.recent, self.page, self.pages if full else [], self.unlisted)
        began_anew = full and said == ([], None, [], self.last)
        if began_anew:
            self.report.count("lists of earlier records that began anew")
            self.recent, self.page, self.pages, self.unlisted = [], None, [], self.last
        elif said != right:
            for name, one, other in zip(("links", "page", "pages", "unlisted"), said, right):
                if one != other:
                    what = f"{record.at()}: {name} is {shown(one)}, right is {shown(other)}"
                    self.report.find("WRONG_LINKS", what)
        # What it really has decides what the next must say: one fault is one finding.
        link = [record.seq, short_hash(record.id)]
        if full and not began_anew:
            self.report.count("pages in the log")
            self.pages = self.pages + [record.seq]
            self.recent, self.page = [link], {"sequence": record.seq, "hash": record.hash}
        else:
            self.recent.append(link)
        self.last = record.seq


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
        self.marking = []  # [token, place, sequence], of each place oldest arrival first
        self.data = {}
        self.status, self.made = None, 0

    def check(self, record, body):
        try:
            wrong = self.step(record, body)
        except (KeyError, ValueError, TypeError) as error:
            wrong = f"it is not made as records of its kind are: {error!r}"
        if wrong:
            self.report.find("DOES_NOT_FOLLOW", f"{record.at()}: {wrong}")
            self.take_over(record, body)
        self.note(record, body)

    def place_of(self, token):
        return next((place for name, place, _ in self.marking if name == token), None)

    def step(self, record, body):
        """Goes on to the state after a record; what is wrong with it, if something is."""
        if (self.status is None) != (record.kind == "created"):
            return f"{record.kind} when the case is {self.status}"
        steps = {"fired": self.fired, "created": self.planted, "edited": self.edited, "quarantined": self.put_aside}
        wrong = steps.get(record.kind, self.status_changed)(record, body)
        if wrong:
            return wrong
        # Stored by place, and of each in the order of arrival; records of format 1 mix the places.
        self.marking.sort(key=lambda entry: entry[1])
        said = sorted(([*entry] for entry in record.marking), key=lambda entry: entry[1])
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
        tag = hashlib.sha256(record.workflow.encode()).hexdigest()[:10]
        return f"{record.case}-{tag}-{self.made}"

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

    @staticmethod
    def put_aside(record, body):
        if body.get("produced") or body.get("consumed") or body.get("removed") or not record.aside:
            return "it changes tokens, or puts nothing aside"
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

    def take_over(self, record, body):
        """Goes on with what the record says, so that one fault is one finding."""
        self.marking = [list(entry) for entry in record.marking]
        self.data |= {token["id"]: token["data"] for token in body.get("produced", [])}
        self.status, self.made = body["status"], body["tokens_made"]

    def note(self, record, body):
        """The changes of each token, for the reads to be compared with."""
        alive = {token: (place, seq) for token, place, seq in self.marking}
        touched = [at["token"] for at in body.get("consumed", []) + body.get("removed", [])]
        touched += [token["id"] for token in body.get("produced", [])]
        for token in dict.fromkeys(touched):
            place = alive[token][0] if token in alive else None
            self.log.tokens.setdefault(token, []).append((record.seq, place, self.data.get(token)))
