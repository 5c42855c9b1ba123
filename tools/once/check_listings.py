"""Listings: of the tokens in a place, and of the cases with a status."""

from bisect import bisect_right

from check_requests import SLACK


class Listings:
    def __init__(self, run, lines, cases, acks, floor, report):
        self.cases, self.acks, self.floor, self.report = cases, acks, floor, report
        self.views_follow = run["scenario"] in ("kills", "stranger", "calm")
        self.written = {line["k"] for line in lines if line["t"] == "stranger" and line["what"] == "token"}
        self.known = {key: dict.fromkeys(seq for _, seq in pairs) for key, pairs in acks.items()}
        for key, pairs in acks.items():
            for time, seq in sorted(pairs, reverse=True):
                self.known[key][seq] = time

    def check(self, read):
        if read["more"]:
            return self.report.count("listings with more than a page: not judged")
        said = {one[0]: one for one in read["a"]}
        if len(said) < len(read["a"]):
            return self.wrong("WRONG_READ", read, "has something twice")
        if read["op"] == "cases":
            return self.by_status(read, said)
        if not self.views_follow:
            return self.report.count("listings of places where views may lag: not judged")
        return self.in_place(read, said)

    def wrong(self, finding, read, text):
        what = f"line {read['n']}: {read['op']} of {read['w']} {read.get('st') or read.get('pl')}"
        self.report.find(finding, f"{what} by process {read['p']} {text}")

    def states(self, read, key, log):
        """The records that may have been the last one while it was read."""
        first = bisect_right(log.seqs, self.floor.at(key, read["t0"])) - 1
        last = bisect_right(log.times, read["w1"] + SLACK)
        return log.records[first:last] if first >= 0 else []

    def by_status(self, read, said):
        wanted = read["st"].lower()
        for (workflow, case), log in self.cases.items():
            if workflow != read["w"] or not log.records:
                continue
            states = self.states(read, (workflow, case), log)
            soiled = any(w0 <= read["w1"] + SLACK and (end is None or end >= read["w0"] - SLACK)
                         for w0, _, end in log.windows)
            if case not in said:
                if states and not soiled and all(state.status == wanted for state in states):
                    seqs = f"{states[0].seq} to {states[-1].seq}"
                    self.wrong("LISTING_LACKS", read, f"lacks {case}, which was so all the while: {seqs}")
                elif states and not soiled:
                    self.report.count("cases by status: left out, and rightly")
                continue
            _, revision, status = said[case]
            self.report.count("cases by status: listed")
            record = log.by_seq.get(revision)
            if states and revision < states[0].seq:
                what = f"shows {case} at {revision}, and {states[0].seq} was acknowledged before it began"
                self.wrong("STALE_READ", read, what)
            elif record is None or record.status != wanted or status != read["st"]:
                self.wrong("WRONG_READ", read, f"shows {case} as {status} at {revision}, the log {record and record.status}")
        firsts = [self.cases[read["w"], case].records[0].seq for case in said if (read["w"], case) in self.cases]
        if firsts != sorted(firsts):
            self.wrong("WRONG_READ", read, "is not in the order of creation")

    def in_place(self, read, said):
        for (workflow, case), log in self.cases.items():
            if workflow != read["w"] or not log.records:
                continue
            times = self.known.get((workflow, case), {})
            acknowledged = lambda seq: times.get(seq) is not None and times[seq] < read["t0"]
            for token, changes in log.tokens.items():
                # Of a token that a stranger wrote over, and of a case that can't be read, nothing is said.
                if token in self.written or log.garbage:
                    continue
                self.token(read, said.get(token), token, changes, log, acknowledged)

    def token(self, read, listed, token, changes, log, acknowledged):
        ends = [log.by_seq[seq].time for seq, _, _ in changes]
        at = bisect_right(ends, read["w1"] + SLACK) - 1
        last = changes[at] if at >= 0 else None
        if listed is None:
            if last and last[1] == read["pl"] and acknowledged(last[0]):
                self.wrong("LISTING_LACKS", read, f"lacks {token}, which has been there since {last[0]}")
            return
        self.report.count("tokens in a place: listed")
        version = next((change for change in changes if change[0] == listed[1]), None)
        if version is None or version[1] != read["pl"]:
            return self.wrong("WRONG_READ", read, f"shows {token} at {listed[1]}, and the log has {version}")
        later = [change for change in changes if change[0] > listed[1] and acknowledged(change[0])]
        if later:
            what = f"shows {token} at {listed[1]}, and {later[-1][0]} was acknowledged before it began"
            self.wrong("STALE_READ", read, what)
