"""Faults on purpose: strangers, subscriptions, listings, and a log that was put back."""

import copy

from strangers import is_strange


class NothingToPlantIn(Exception):
    """The run is too short for this fault."""


def first(found, what):
    """The first of what was found; without one the run does not have what it takes."""
    for one in found:
        return one
    raise NothingToPlantIn(f"the run has no {what}")


class MorePlants:
    """Beside those in selftest.py; named after the finding that must come of it."""

    def refused_as_corrupt(self, kind, what, operation=None):
        return first((
            line for line in reversed(self.lines)
            if line["t"] == kind and line.get("code") == "CORRUPT" and operation in (None, line["op"])
        ), what)

    def read_past_garbage(self):
        """PASSED_OVER: a case that can't be read is shown."""
        line = self.refused_as_corrupt("read", "read of what can't be read", "case")
        line |= {"out": "ok", "a": None}

    def changed_past_garbage(self):
        """PASSED_OVER: a change of a case that can't be read is answered as done."""
        line = self.refused_as_corrupt("change", "change of what can't be read", "fireCase")
        answer = {"seq": 1, "firing": line["id"], "revision": 1, "status": "RUNNING", "repeated": False}
        line |= {"out": "ok", "a": answer | {"transition": line["in"]["transitionId"]}}

    def record_past_garbage(self):
        """PASSED_OVER: a head says nothing of what is no record before it."""
        quarantined = (log[-1] for log in self.logs.values() if self.body(log[-1]).get("aside"))
        message = first((m for m in quarantined if self.body(m)["kind"] != "quarantined"), "case that went on")
        self.change(message, lambda body: body.pop("aside"))

    def good_put_aside(self):
        """WRONG_ASIDE: a head puts aside a good record too."""
        log = first((log for log in self.logs.values() if self.body(log[-1]).get("aside")), "quarantine")
        self.change(log[-1], lambda body: body["aside"].append([log[0]["q"], log[0]["q"]]))

    def garbage_denied(self):
        """FALSE_NO: of a log that can't be read it is said that nothing is wrong."""
        line = self.refused_as_corrupt("change", "change of what can't be read")
        line |= {"op": "quarantineCase", "code": "INVALID_ARGUMENT", "id": None, "by": "r-denied", "in": {}}

    def unnamed_conflict(self):
        """WRONG_CONFLICT: a conflict does not name the first use."""
        line = first((
            line for line in self.lines
            if line["t"] == "change" and line["why"] == "other" and line["id"] and line.get("first")
        ), "conflict")
        del line["first"]

    def feed(self, operation, least=3):
        return first((
            line for line in reversed(self.lines)
            if line["t"] == "feed" and line["op"] == operation and len(line["a"]) >= least
        ), f"{operation} with so many records")

    def feed_lacks(self):
        """FEED_LACKS: a subscription to a workflow left out a record."""
        self.feed("workflowEvents")["a"].pop(1)

    def case_feed_lacks(self):
        """FEED_LACKS: a subscription to a case left out the record after which it went on."""
        self.feed("caseEvents", 2)["a"].pop(0)

    def token_feed_lacks(self):
        """FEED_LACKS: a subscription to a token left out a version."""
        self.feed("tokenUpdates")["a"].pop(1)

    def feed_lacks_an_error(self):
        """FEED_LACKS: a subscription passed over what can't be read without a word."""
        line = first((
            line for line in self.lines if line["t"] == "feed"
            and len(line["a"]) > 1 and any("error" in one for one in line["a"][:-1])
        ), "feed that met what is no record")
        line["a"].remove(next(one for one in line["a"] if "error" in one))

    def feed_ends_early(self):
        """FEED_LACKS: a subscription that was followed to the end lacks the last record."""
        line = first((
            line for line in self.lines if line["t"] == "feed" and line.get("end") == "drained" and line["a"]
        ), "feed with something at its end")
        line["a"].pop()

    def feed_twice(self):
        """FEED_TWICE: a subscription gave a record twice."""
        line = self.feed("caseEvents", 1)
        line["a"].append(line["a"][-1])

    def resumed_twice(self):
        """FEED_TWICE: a subscription that went on gave the last record again."""
        told = {}
        for line in self.lines:
            if line["t"] != "feed" or line["op"] != "workflowEvents":
                continue
            if line["w"] in told and line["a"]:
                line["a"].insert(0, told[line["w"]])
                return
            told |= {line["w"]: line["a"][-1]} if line["a"] else {}
        raise NothingToPlantIn("no feed went on")

    def feed_order(self):
        """FEED_ORDER: a subscription gave two records in the other order."""
        line = self.feed("workflowEvents")
        line["a"][0], line["a"][1] = line["a"][1], line["a"][0]

    def feed_wrong(self):
        """WRONG_READ: a subscription gave a record with another id."""
        line = first((line for line in self.lines if line["t"] == "feed" and line["a"] and "id" in line["a"][0]), "feed")
        line["a"][0]["id"] = "f-nobody"

    def listing(self, operation, **wanted):
        found = (
            line for line in reversed(self.lines) if line["t"] == "read" and line["op"] == operation
            and line["out"] == "ok" and line["a"] and all(line[key] == value for key, value in wanted.items())
        )
        return first(found, f"{operation} with something in it")

    def listing_lacks_cases(self):
        """LISTING_LACKS: a listing by status is empty."""
        self.listing("cases", st="RUNNING")["a"].clear()

    def listing_lacks_tokens(self):
        """LISTING_LACKS: a listing of a place is empty."""
        self.listing("tokensInPlace", w="tick")["a"].clear()

    def stale_listing(self):
        """STALE_READ: a listing by status shows its cases as they were at first."""
        line = self.listing("cases", st="RUNNING")
        for one in line["a"]:
            one[1] = self.logs[line["w"], one[0]][0]["q"]

    def stale_place(self):
        """STALE_READ: a listing of a place shows its tokens as they were at first."""
        line = self.listing("tokensInPlace", w="tick")
        made = {}
        for log in self.logs.values():
            for message in log:
                for token in self.body(message).get("produced", []):
                    made.setdefault(token["id"], message["q"])
        for one in line["a"]:
            one[1] = made[one[0]]

    def wrong_status(self):
        """WRONG_READ: a listing by status has a case with another."""
        line = self.listing("cases", st="CANCELLED")
        one = first((line for line in self.listing("cases", w=line["w"], st="RUNNING")["a"]), "running case")
        line["a"].append([one[0], one[1], "CANCELLED"])

    def double_beside_older(self):
        """DOUBLE_ID: beside an older version, a record with lists has the id of an earlier one."""
        next(line for line in self.lines if line["t"] == "run").update(scenario="old", older=1)
        self.double_id()

    def lost_after_older(self):
        """WRONG_LINKS: a record after one of an older version does not say so."""
        next(line for line in self.lines if line["t"] == "run").update(scenario="old", older=1)
        middle = len(self.longest) // 2

        def bare(body):
            for name in ("links", "page", "pages", "unlisted"):
                body.pop(name, None)

        self.change(self.longest[middle], bare)

    def garbage_only_in_copy(self):
        """UNREADABLE: what is no record, and no stranger wrote it."""
        message = first((m for m in self.messages if m["s"] == "CB_LOG" and is_strange(m) and ".events." in m["subj"]), "garbage")
        message["d"] = b"something else"


class BackPlants:
    """Faults of a run in which the log was put back."""

    def part(self):
        return first((line for line in self.lines if line["t"] == "back"), "log that was put back")

    def gone(self):
        """A change whose record was acknowledged and is gone, and came not again."""
        part, there = self.part(), {self.body(message)["firing"] for log in self.logs.values() for message in log}
        return first((
            line for line in self.lines if line["t"] == "change" and line["out"] == "ok" and line["op"] == "fireCase"
            and part["copied"] < line["t0"] and line["t1"] < part["t0"] and line["id"] and line["id"] not in there
        ), "change that is gone for good")

    def after(self, line):
        time, wall = self.part()["t1"] + 5.0, self.part()["w1"] + 5.0
        again = copy.deepcopy(line) | {"t0": time, "t1": time + 0.01, "w0": wall, "w1": wall + 0.01}
        self.lines.append(again | {"n": len(self.lines) + 1, "why": "late"})
        return self.lines[-1]

    def repeated_from_memory(self):
        """ACKNOWLEDGED_MISSING: a repeat of what is gone was answered as done before."""
        self.after(self.gone())["a"]["repeated"] = True

    def conflict_from_memory(self):
        """WRONG_CONFLICT: another request was refused with a first use that is gone."""
        line = self.after(self.gone())
        gone = {"kind": "FIRED", "transitionId": "go", "sequence": str(line.pop("a")["seq"])}
        line |= {"by": "r-other", "out": "error", "code": "CONFLICT", "retryable": False, "msg": "planted"}
        line["first"] = gone

    def read_from_memory(self):
        """WRONG_READ: a read after it shows a record that is gone."""
        part = self.part()
        line = first((
            line for line in self.lines if line["t"] == "read" and line["op"] == "case"
            and line["out"] == "ok" and line["a"] and line["t0"] > part["t1"]
        ), "read of a case after it")
        line["a"]["headHash"] = "0" * 64

    def twice_over_the_copy(self):
        """DOUBLE_ID: an id of before the copy happened again after it."""
        part = self.part()
        for log in self.logs.values():
            if log[0]["ts"] < part["w0"] < log[-1]["ts"]:
                before = self.body(log[0])["firing"]
                return self.change(log[-1], lambda body: body.update(firing=before))
        raise NothingToPlantIn("no case was changed before and after")

    def went_back_unsaid(self):
        """WENT_BACK_UNSAID: a subscription that gave what is gone went on."""
        back = self.part()["t1"]
        line = first((
            line for line in self.lines if line["t"] == "feed" and line.get("code") == "LOG_WENT_BACK"
            and not line["stale"] and line["t0"] < back < line["t1"] and line["a"]
        ), "feed that said so")
        line |= {"end": "cut", "t1": back + 20.0}

    def broken_and_left(self):
        """CHANGED_RECORD: a record after it follows one that is gone, and is not put aside."""
        part = self.part()
        message = first((log[-1] for log in self.logs.values() if log[-1]["ts"] > part["w1"] and len(log) > 2), "record")
        self.change(message, lambda body: body.update(previous_hash="0" * 64))
