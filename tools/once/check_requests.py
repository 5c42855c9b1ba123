"""What the clients were answered, compared with the log."""

from bisect import bisect_left
from collections import defaultdict

# The server's times and ours are of one machine's clock; this is for their rounding.
SLACK = 0.002
KINDS = {
    "createWorkflowInstance": ("created",), "createToken": ("created", "edited"),
    "fireCase": ("fired",), "fireTransition": ("fired",), "transitionTokenWithNats": ("fired",),
    "updateTokenData": ("edited",), "pauseCase": ("paused",), "resumeCase": ("resumed",),
    "cancelCase": ("cancelled",), "quarantineCase": ("quarantined",),
}
# A quarantine that finds nothing is refused, and is no change.
THERE = {"pauseCase": "PAUSED", "resumeCase": "RUNNING", "cancelCase": "CANCELLED"}
# What a request of these may be refused with for good.
REFUSALS = ("NOT_ENABLED", "NOT_FOUND", "CONFLICT", "WRONG_STATUS", "INVALID_ARGUMENT", "ALREADY_EXISTS")


def asked_for(request):
    """What makes two requests the same one: not who asks, under which id and at which revision.

    The case is named by its id or by a token's, and the three ways to fire ask for the same.
    """
    ignored = ("triggeredBy", "firingId", "expectedRevision", "workflowId", "caseId")
    fields = {key: value for key, value in request["in"].items() if key not in ignored}
    kind = "fire" if KINDS[request["op"]] == ("fired",) else request["op"]
    return (kind, request["w"], request["c"], fields)


class Requests:
    """The journal's attempts by logical request, and what was acknowledged when."""

    def __init__(self, lines):
        self.changes = [line for line in lines if line["t"] == "change"]
        self.reads = [line for line in lines if line["t"] == "read"]
        self.feeds = [line for line in lines if line["t"] == "feed"]
        self.first = {}
        self.attempts = defaultdict(list)
        for line in self.changes:
            line["in"] = self.first.setdefault(line["by"], line)["in"]
            self.attempts[line["by"]].append(line)


def check_requests(requests, cases, run, past, report):
    checker = Checker(requests, cases, run["cluster"], report)
    for attempt in requests.changes:
        if attempt["out"] == "ok" and past.lost(attempt):
            attempt["gone"] = True
    for log in cases.values():
        for record in log.records:
            checker.record_says_its_request(record)
    for attempt in requests.changes:
        final = attempt["out"] == "error" and not attempt["retryable"] and attempt["code"] != "CORRUPT"
        if past.covers(attempt) and (final or attempt.get("gone")):
            continue
        if run.get("older") is not None and attempt["p"] == run["older"]:
            checker.by_the_older(attempt)
        elif attempt["out"] == "ok":
            checker.acknowledged(attempt)
        elif final:
            checker.refused(attempt)
    return checker.acks


class Checker:
    def __init__(self, requests, cases, cluster, report):
        self.requests, self.cases, self.cluster, self.report = requests, cases, cluster, report
        self.acks = defaultdict(list)  # case -> [(end of the answer, sequence)]

    def log(self, attempt):
        return self.cases.get((attempt["w"], attempt["c"]))

    @staticmethod
    def name(attempt):
        under = f" under {attempt['id']}" if attempt["id"] else ""
        return f"line {attempt['n']}: {attempt['op']} by {attempt['by']}{under} in {attempt['w']}/{attempt['c']}"

    def record_says_its_request(self, record):
        request = self.requests.first.get(record.by)
        if request is None:
            return self.report.find("NOT_AS_ASKED", f"{record.at()}: nobody asked as {record.by}")
        asked = request["in"]
        wrong = []
        if (record.workflow, record.case) != (request["w"], request["c"]):
            wrong.append("another case")
        if record.kind not in KINDS[request["op"]]:
            wrong.append(f"kind {record.kind} for {request['op']}")
        if request["id"] and record.id != request["id"]:
            wrong.append(f"id {record.id}, not {request['id']}")
        if record.transition != asked.get("transitionId"):
            wrong.append(f"transition {record.transition}")
        if "expectedRevision" in asked and int(asked["expectedRevision"]) != record.previous:
            wrong.append(f"follows {record.previous}, expected was {asked['expectedRevision']}")
        if wrong:
            self.report.find("NOT_AS_ASKED", f"{record.at()} by {record.by}: {', '.join(wrong)}")

    def acknowledged(self, attempt):
        answer, log = attempt["a"], self.log(attempt)
        if log is None:
            return self.missing(attempt, "its case is not in the log")
        if attempt["op"] == "createWorkflowInstance":
            return self.created(attempt, answer, log)
        record = log.by_id.get(attempt["id"]) if attempt["id"] else log.by_by.get(attempt["by"])
        if record is None or record.time > attempt["w1"] + SLACK:
            return self.nothing_stored(attempt, answer, log)
        if attempt["id"] in log.twice:
            return self.report.count("answers: of ids that the older version stored again")
        first = self.requests.first.get(record.by)
        if record.older and record.by != attempt["by"]:
            return self.report.count("answers: another request under an id that the older version stored")
        if record.by != attempt["by"] and (first is None or asked_for(first) != asked_for(attempt)):
            what = f"{self.name(attempt)} was answered as done, and the id is of {record.at()} by {record.by}"
            return self.report.find("OTHER_ACCEPTED", what)
        self.acks[attempt["w"], attempt["c"]].append((attempt["t1"], record.seq))
        self.compare(attempt, answer, record, log)

    def by_the_older(self, attempt):
        """Of what an older version answers nothing is promised but that it is in the log."""
        log = self.log(attempt)
        record = log.by_by.get(attempt["by"]) if log else None
        if attempt["out"] == "ok" and record is not None and record.time < attempt["w1"]:
            self.acks[attempt["w"], attempt["c"]].append((attempt["t1"], record.seq))

    def missing(self, attempt, why):
        self.report.find("ACKNOWLEDGED_MISSING", f"{self.name(attempt)}: {why}; answer {attempt['a']}")

    def compare(self, attempt, answer, record, log):
        """An answer with the record that it is about."""
        before = record.time < attempt["w0"] - SLACK
        seq = answer.get("seq")
        if "firing" in answer:
            if seq != record.seq or answer["firing"] != record.id:
                return self.missing(attempt, f"the log has it at {record.seq} with {record.id}")
        elif seq is not None:
            # A token is shown as it is today: after a repeat, and after an append that was looked for.
            known = log.tokens.get(answer["token"], [])
            if seq < record.seq or (seq, answer["place"], answer["data"]) not in known:
                return self.missing(attempt, f"the log has it at {record.seq}, and no such version from there on")
            if seq != record.seq and not before and not answer["repeated"]:
                self.report.count("answers: a new change, and the token as others have changed it since")
        self.repeated(attempt, answer, record, before)
        self.state_of_today(attempt, answer, record)

    def repeated(self, attempt, answer, record, before):
        said = answer["repeated"]
        if said:
            self.report.count("answers: repeated")
        if said is False and before and not self.may_land_late(attempt, record):
            what = f"{self.name(attempt)} was answered as new, and it was in the log before: {record.at()}"
            self.report.find("WRONG_REPEATED", what)
        if said and not before and len(self.requests.attempts[attempt["by"]]) == 1 and attempt["by"] == record.by:
            self.report.count("answers: repeated to the only attempt (an append that was looked for)")

    def state_of_today(self, attempt, answer, record):
        """The case that an answer shows is not older than what was acknowledged before."""
        revision = answer.get("revision")
        if revision is None:
            return
        if revision < record.seq:
            what = f"{self.name(attempt)} shows its case at {revision}, before its own record {record.seq}"
            self.report.find("STALE_ANSWER", what)
        attempt["shows"] = max(revision, record.seq)

    def nothing_stored(self, attempt, answer, log):
        """A pause of what is paused, and the like: the case was as it was wanted."""
        wanted = THERE.get(attempt["op"])
        record = log.by_seq.get(answer.get("revision"))
        if wanted is None or record is None:
            return self.missing(attempt, "it is not in the log")
        status = record.status.upper()
        if status != wanted or answer["status"] != wanted:
            return self.missing(attempt, f"the log has no such record, and the case is {status} at {record.seq}")
        self.report.count("answers: the case was so already")
        attempt["shows"] = record.seq

    def created(self, attempt, answer, log):
        record = log.records[0]
        first = self.requests.first.get(record.by)
        if answer["case"] != attempt["c"] or answer["seq"] not in log.by_seq:
            return self.missing(attempt, "its case or version is not in the log")
        self.acks[attempt["w"], attempt["c"]].append((attempt["t1"], record.seq))
        same = first is not None and asked_for(first)[3].get("initialData") == attempt["in"].get("initialData")
        if first is not None and first["op"] == "createWorkflowInstance" and not same:
            what = f"{self.name(attempt)} with {attempt['in'].get('initialData')} was answered as done: {record.at()}"
            self.report.find("OTHER_ACCEPTED", what + f" by {record.by}")
        if answer["repeated"]:
            self.report.count("answers: repeated")

    def may_land_late(self, attempt, record):
        """Whether another attempt of the same request may have appended the record after this answer.

        One that got a final answer before this attempt began can't have; and what was acknowledged
        before it was there.
        """
        others = [other for other in self.requests.attempts[record.by] if other is not attempt]
        stays = lambda other: other["out"] == "ok" and not other.get("gone")
        if any(stays(other) and other["t1"] < attempt["t0"] for other in others):
            return False
        if record.time < attempt["w0"] - SLACK and not self.cluster:
            return False
        unknown = lambda other: other["out"] in ("lost", "dropped") or other["out"] == "error" and other["retryable"]
        return any(
            other["w0"] <= record.time + SLACK and (unknown(other) or other["t1"] >= attempt["t0"])
            for other in others
        )

    def refused(self, attempt):
        code, log = attempt["code"], self.log(attempt)
        if log is not None and attempt["id"] in log.twice:
            return
        if code not in REFUSALS:
            text = f"{self.name(attempt)}: {code}, not retryable: {attempt['msg']}"
            self.report.find("UNEXPECTED_ERROR", text)
        used = log.by_id.get(attempt["id"]) if log and attempt["id"] else None
        if used is not None and used.by != attempt["by"]:
            first = self.requests.first.get(used.by)
            if code == "CONFLICT" and (first is None or asked_for(first) != asked_for(attempt)):
                self.report.count("conflicts: another request under a used id")
                return self.names_the_first(attempt, used)
            if first is None or asked_for(first) != asked_for(attempt):
                self.report.count(f"refusals: another request under a used id, as {code}")
                if used.time < attempt["w0"] - SLACK and not self.cluster and not used.older:
                    what = f"{self.name(attempt)} was refused with {code} ({attempt['msg']}), and not with {used.at()}"
                    self.report.find("WRONG_CONFLICT", what)
                return None
        if attempt["op"] == "createWorkflowInstance":
            return self.create_refused(attempt, log)
        if used is None and attempt.get("first") is not None:
            what = f"{self.name(attempt)} names {attempt['first']}, and the log does not have the id"
            self.report.find("WRONG_CONFLICT", what)
        record = used or (log.by_by.get(attempt["by"]) if log else None)
        if record is None:
            return self.report.count(f"final no: {code}")
        if self.may_land_late(attempt, record):
            return self.report.count("final no while another attempt was under way, which then came to pass")
        what = f"{self.name(attempt)} was refused with {code} ({attempt['msg']}), and the log has {record.at()}"
        self.report.find("FALSE_NO", what + f", {attempt['w0'] - record.time:.3f} s before the request began")

    def create_refused(self, attempt, log):
        first = self.requests.first.get(log.records[0].by) if log else None
        if first is not None and first["op"] == attempt["op"] and asked_for(first) == asked_for(attempt):
            if not self.may_land_late(attempt, log.records[0]):
                self.report.find("FALSE_NO", f"{self.name(attempt)}: {attempt['code']}, and it is in the log")
        else:
            self.report.count("conflicts: another creation of a case that exists")

    def names_the_first(self, attempt, used):
        first = attempt.get("first")
        if first is None and used.time > attempt["w0"] - SLACK:
            return self.report.count("conflicts: of another kind, while the id came to be used")
        if first is None:
            what = f"{self.name(attempt)} does not name the first use, {used.at()}: {attempt['msg']}"
            return self.report.find("WRONG_CONFLICT", what)
        self.report.count("conflicts: that name the first use")
        said = (str(first.get("kind")).lower(), first.get("transitionId"), int(first.get("sequence", 0)))
        right = (used.kind, used.transition, used.seq)
        if said != right:
            self.report.find("WRONG_CONFLICT", f"{self.name(attempt)} names {said}, and the first use is {right}")


class Floor:
    """For each case, what had been acknowledged at a time."""

    def __init__(self, acks):
        self.cases = {}
        for key, pairs in acks.items():
            pairs.sort()
            times, highest, most = [], [], 0
            for time, seq in pairs:
                most = max(most, seq)
                times.append(time)
                highest.append(most)
            self.cases[key] = (times, highest)

    def at(self, key, time):
        """The last sequence acknowledged before a time; 0 for none."""
        times, highest = self.cases.get(key, ([], []))
        index = bisect_left(times, time)
        return highest[index - 1] if index else 0
