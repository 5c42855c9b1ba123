"""Plants each fault into a copy of a real run, and looks whether the checker finds it by its name."""

import copy
import hashlib
import json
import os
from collections import defaultdict

from check import judge
from check_log import links_of, links_text
from dump import load
from journal import read
from plants import BackPlants, MorePlants, NothingToPlantIn
from records import body_of
from strangers import is_strange


class Plants(MorePlants, BackPlants):
    """Each method changes messages or lines, and is named after the finding that must come of it."""

    def __init__(self, messages, lines):
        self.messages, self.lines = messages, lines
        self.logs = defaultdict(list)
        for message in messages:
            if message["s"] == "CB_LOG" and ".events." in message["subj"] and not is_strange(message):
                body = body_of(message)
                self.logs[body["workflow"], body["case"]].append(message)
        self.longest = max(self.logs.values(), key=len)

    def change(self, message, change):
        body = body_of(message)
        change(body)
        message["d"] = json.dumps(body, separators=(",", ":")).encode()

    def body(self, message):
        return body_of(message)

    def acknowledged(self, operation="fireCase"):
        for line in self.lines:
            if line["t"] == "change" and line["op"] == operation and line["out"] == "ok" and line["id"]:
                return line
        raise NothingToPlantIn(f"the run has no acknowledged {operation} with an id")

    def double_id(self):
        """DOUBLE_ID: the head of a case has the id of an earlier record."""
        first = self.body(self.longest[1])["firing"]
        self.change(self.longest[-1], lambda body: body.update(firing=first))

    def lost_record(self):
        """LOST_RECORD: one from the middle of a case is gone."""
        self.messages.remove(self.longest[len(self.longest) // 2])

    def changed_record(self):
        """CHANGED_RECORD: a record's time is another."""
        middle = self.longest[len(self.longest) // 2]
        self.change(middle, lambda body: body.update(time="2026-01-01T00:00:00Z"))

    def stale_read(self):
        """STALE_READ: a read of a case late in the run shows its first record."""
        for line in reversed(self.lines):
            if line["t"] == "read" and line["op"] == "case" and line["out"] == "ok":
                log = self.logs[line["w"], line["c"]]
                if len(log) > 5 and int(line["a"]["revision"]) >= log[4]["q"]:
                    self.show(line, log[0])
                    return
        raise NothingToPlantIn("the run has no late read of a case")

    def show(self, line, message):
        body = self.body(message)
        line["a"]["revision"] = str(message["q"])
        line["a"]["headHash"] = hashlib.sha256(message["d"]).hexdigest()
        line["a"]["status"] = body["status"].upper()
        line["a"]["tokens"] = [
            {"id": e["token"], "placeId": e["place"], "revision": str(e.get("sequence") or message["q"])}
            for e in body["marking"]
        ]

    def stale_token_read(self):
        """STALE_READ: a strong read of a token shows its first version."""
        for line in reversed(self.lines):
            if line["t"] != "read" or line["op"] != "token" or line["out"] != "ok" or not line["a"]:
                continue
            log = self.logs[line["w"], line["c"]]
            first = self.body(log[0])["produced"][0]
            if first["id"] == line["k"] and len(log) > 5 and int(line["a"]["revision"]) >= log[4]["q"]:
                line["a"] |= {"revision": str(log[0]["q"]), "placeId": first["place"], "data": first["data"]}
                return
        raise NothingToPlantIn("the run has no late read of a first token")

    def stale_history(self):
        """STALE_READ: a history lacks its last record."""
        for line in reversed(self.lines):
            if line["t"] == "read" and line["op"] == "history" and line["out"] == "ok" and len(line["a"]) > 1:
                acknowledged = [
                    change["t1"] for change in self.lines
                    if change["t"] == "change" and change["out"] == "ok"
                    and change["a"].get("seq") == line["a"][-1][0] and change["t1"] < line["t0"]
                ]
                if acknowledged:
                    line["a"].pop()
                    return
        raise NothingToPlantIn("the run has no history whose last record was acknowledged before")

    def false_no(self):
        """FALSE_NO: what was acknowledged was refused."""
        line = self.acknowledged()
        del line["a"]
        line |= {"out": "error", "code": "NOT_ENABLED", "retryable": False, "msg": "planted"}

    def false_conflict(self):
        """FALSE_NO: a conflict was answered, and the log has the change."""
        line = self.acknowledged("updateTokenData")
        del line["a"]
        line |= {"out": "error", "code": "CONFLICT", "retryable": False, "msg": "planted"}

    def no_of_what_could_happen(self):
        """FALSE_NO: a pause of a running case was refused, and it was never stored."""
        line = copy.deepcopy(self.acknowledged())
        line.pop("a")
        line |= {"op": "pauseCase", "by": "r-no", "id": "f-no", "in": {}, "n": len(self.lines) + 1}
        self.lines.append({**line, "out": "error", "code": "WRONG_STATUS", "retryable": False, "msg": "planted"})

    def wrong_conflict(self):
        """WRONG_CONFLICT: a conflict names another first use."""
        for line in self.lines:
            if line["t"] == "change" and line.get("first") and line["id"]:
                line["first"]["sequence"] = "1"
                return
        raise NothingToPlantIn("no conflict names the first use")

    def two_places(self):
        """TWO_PLACES: the view has a token in another place too."""
        message = next(m for m in self.messages if m["s"] == "CB_MARKING" and m["d"] and ".loop." in m["subj"])
        other = ".places.b." if ".places.a." in message["subj"] else ".places.a."
        subject = message["subj"].replace(".places.a.", "@").replace(".places.b.", "@").replace("@", other)
        self.messages = [m for m in self.messages if m["subj"] != subject] + [{**message, "subj": subject}]

    def acknowledged_missing(self):
        """ACKNOWLEDGED_MISSING: the log ends before what was acknowledged last."""
        acknowledged = {line["a"].get("seq") for line in self.lines if line.get("a") and line["t"] == "change"}
        log = [message for message in self.messages if message["s"] == "CB_LOG"]
        for number, message in enumerate(reversed(log)):
            self.messages.remove(message)
            if message["q"] in acknowledged:
                return
            if number > 50:
                raise NothingToPlantIn("nothing of the log's end was acknowledged")

    def wrong_links(self):
        """WRONG_LINKS: an entry of `links` in a head names another id."""

        def other(body):
            (sequence, _), *rest = links_of(body)
            body["links"] = links_text([[sequence, "0" * 16], *rest])

        message = next(log[-1] for log in self.logs.values() if links_of(self.body(log[-1])))
        self.change(message, other)

    def missing_link(self):
        """WRONG_LINKS: `links` of a head leaves out a record."""
        message = next(log[-1] for log in self.logs.values() if len(links_of(self.body(log[-1]))) > 1)
        self.change(message, lambda body: body.update(links=links_text(links_of(body)[1:])))

    def wrong_page(self):
        """WRONG_LINKS: `page` of a head has another hash."""
        pages = (log[-1] for log in self.logs.values() if self.body(log[-1]).get("page"))
        message = next(pages, None)
        if message is None:
            raise NothingToPlantIn("the run has no case with a page: let it run longer")
        self.change(message, lambda body: body["page"].update(hash="0" * 64))

    def done_twice(self):
        """DONE_TWICE: a head says that it was asked for by an earlier request."""
        first = self.body(self.longest[1])["by"]
        self.change(self.longest[-1], lambda body: body.update(by=first))

    def does_not_follow(self):
        """DOES_NOT_FOLLOW: a counter in a head's token counted one too many."""

        def more(body):
            body["produced"][0]["data"]["n"] += 1

        self.change(self.fired_head(), more)

    def fired_head(self):
        return next(log[-1] for log in self.logs.values() if self.body(log[-1])["kind"] == "fired")

    def not_as_asked(self):
        """NOT_AS_ASKED: a head is by nobody who asked."""
        self.change(self.fired_head(), lambda body: body.update(by="r0"))

    def broken_chain(self):
        """BROKEN_CHAIN: a head follows the first record of its case."""
        first = self.longest[0]["q"]
        self.change(self.longest[-1], lambda body: body.update(previous=first))

    def wrong_repeated(self):
        """WRONG_REPEATED: the answer to a repeat says that it is new."""
        for line in self.lines:
            if line["t"] == "change" and line["out"] == "ok" and line["a"].get("repeated") and line["why"] == "late":
                line["a"]["repeated"] = False
                return
        raise NothingToPlantIn("the run has no late repeat")

    def other_accepted(self):
        """OTHER_ACCEPTED: another transition under a used id was answered as the first."""
        line = copy.deepcopy(self.acknowledged())
        line |= {"by": "r-other", "why": "other", "n": len(self.lines) + 1}
        line["in"] |= {"triggeredBy": "r-other", "transitionId": "nonsense"}
        self.lines.append(line)

    def wrong_read(self):
        """WRONG_READ: a read has a token where it never was."""
        for line in reversed(self.lines):
            if line["t"] == "read" and line["op"] == "case" and line["out"] == "ok" and line["a"]["tokens"]:
                line["a"]["tokens"][0]["placeId"] = "elsewhere"
                return

    def stale_answer(self):
        """STALE_ANSWER: a late repeat shows the case as it was right after the first use."""
        for line in reversed(self.lines):
            if line["t"] != "change" or line["out"] != "ok" or line["why"] != "late":
                continue
            if "firing" in line["a"] and line["a"]["revision"] > line["a"]["seq"]:
                line["a"]["revision"] = line["a"]["seq"]
                return
        raise NothingToPlantIn("the run has no late repeat in a case that went on")

    def view_differs(self):
        """VIEW_DIFFERS: the view lacks a token."""
        self.messages.remove(next(m for m in self.messages if m["s"] == "CB_MARKING" and m["d"]))

    def unexpected_error(self):
        """UNEXPECTED_ERROR: a stream is said to be missing."""
        line = copy.deepcopy(self.acknowledged())
        del line["a"]
        line |= {"by": "r-error", "id": "f-error", "out": "error", "code": "MISCONFIGURED", "retryable": False}
        self.lines.append({**line, "msg": "planted", "in": {**line["in"], "firingId": "f-error"}})

    def unreadable(self):
        """UNREADABLE: a record that is no JSON."""
        self.longest[-1]["d"] = b"{"


def main(folder):
    messages = list(load(os.path.join(folder, "dump.jsonl.gz")))
    lines = list(read(os.path.join(folder, "journal.jsonl")))
    before = judge(copy.deepcopy(messages), copy.deepcopy(lines))
    found = {name: len(texts) for name, texts in before.findings.items()}
    print(f"{len(messages)} messages, {len(lines)} lines of the journal; found before anything is planted: {found}")
    missed = 0
    back = any(line["t"] == "back" for line in lines)
    kinds = [BackPlants] if back else [Plants, MorePlants]
    named = lambda what: (what.__doc__ or "").split(":")[0].isupper()
    names = [name for kind in kinds for name, what in vars(kind).items() if named(what)]
    for name in names:
        plants = Plants(copy.deepcopy(messages), copy.deepcopy(lines))
        plant = getattr(plants, name)
        expected, what = plant.__doc__.split(": ")
        try:
            plant()
        except NothingToPlantIn as error:
            missed += 1
            print(f"MISSED {expected:20} {what} ({error})")
            continue
        report = judge(plants.messages, plants.lines)
        new = [text for text in report.findings[expected] if text not in before.findings[expected]]
        missed += not new
        print(f"{'found' if new else 'MISSED':6} {expected:20} {what}")
        if new:
            print(f"       {new[0][:160]}")
    print(f"{len(names)} faults planted, {missed} missed")
    return 1 if missed else 0
