"""What subscriptions gave: each period is the beginning of what the log has from where it was begun."""

from bisect import bisect_left
from collections import defaultdict


# So long a feed was followed after the log was put back, before it must have said so.
LONG_ENOUGH = 15.0


def check_feeds(feeds, cases, past, report):
    """`past` says what was asked of a part of the log that was put back."""
    scopes, told, eras = Scopes(cases), defaultdict(int), {}
    for feed in sorted(feeds, key=lambda line: line["n"]):
        operation, end = feed["op"], feed["end"]
        report.count(f"feeds: {operation}")
        report.count(f"feeds, ended: {end}" + (f" {feed.get('code')}" if end == "refused" else ""))
        scope = (operation, feed["w"], feed.get("c"), feed.get("k"))
        if feed["stale"]:
            report.count(f"feeds that went on after what is gone, ended: {end} {feed.get('code', '')}")
            continue
        if eras.get(scope) != feed["era"]:
            told[scope], eras[scope] = 0, feed["era"]
        if past.covers(feed):
            went_back(feed, past, report)
            told[scope] = max([told[scope]] + [one["q"] for one in feed["a"]])
            continue
        if feed["from"] > 1 and feed["a"]:
            report.count(f"feeds resumed, with more: {operation}")
        if end == "refused" and not allowed(feed, scopes, past, report):
            what = f"line {feed['n']}: {name(feed)} ended with {feed.get('code')}: {feed.get('msg')}"
            report.find("UNEXPECTED_ERROR", what)
        compare(feed, scopes.of(scope), told[scope], report)
        told[scope] = max([told[scope]] + [one["q"] for one in feed["a"]])


def name(feed):
    return f"{feed['op']} of {feed['w']}/{feed.get('k') or feed.get('c') or '*'} by process {feed['p']}"


def allowed(feed, scopes, past, report):
    """A case or token that is not there yet, one that can't be read, or NATS out of reach."""
    code, log = feed.get("code"), scopes.cases.get((feed["w"], feed.get("c")))
    if code == "NOT_FOUND" and feed["op"] != "workflowEvents":
        return log is None or not log.records or log.records[0].time > feed["w0"] or feed["op"] == "tokenUpdates"
    if code == "LOG_WENT_BACK" and past.since(feed) is not None and feed["t0"] < past.since(feed)[1] + LONG_ENOUGH:
        # The process's reading that it joined had given what is gone.
        report.count("feeds that had given nothing, and were told that the log went back")
        return True
    if code == "CORRUPT":
        return log is not None and bool(log.garbage or log.suspects)
    return code == "UNAVAILABLE"


def went_back(feed, past, report):
    """A feed that gave what is gone must say so; it is followed long enough."""
    report.count("feeds of a part of the log that was put back")
    boundary = past.spanned(feed)
    if boundary is None or max([one["q"] for one in feed["a"]], default=0) <= boundary:
        return
    if feed["end"] == "refused" and feed["code"] == "LOG_WENT_BACK":
        report.count("feeds that said that the log went back")
    elif feed["t1"] < past.part(feed)[1] + LONG_ENOUGH:
        report.count("feeds of what is gone, cut before they could say so")
    elif feed["end"] in ("cut", "drained"):
        what = f"line {feed['n']}: {name(feed)} gave what is gone, and went on as {feed['end']}"
        report.find("WENT_BACK_UNSAID", what)


def compare(feed, right, told, report):
    said, at = feed["a"], f"line {feed['n']}: {name(feed)} from {feed['from']}"
    sequences = [one["q"] for one in said]
    report.count("records that feeds gave", len(said))
    report.count("messages that feeds said can't be read", sum("error" in one for one in said))
    if len(set(sequences)) < len(said) or any(q <= told for q in sequences):
        twice = sorted({q for q in sequences if sequences.count(q) > 1 or q <= told})
        report.find("FEED_TWICE", f"{at} gave {twice[:5]} again")
    elif sequences != sorted(sequences):
        report.find("FEED_ORDER", f"{at}: {sequences[:20]}")
    keys = [one["q"] for one in right]
    first = bisect_left(keys, feed["from"])
    expected = right[first : bisect_left(keys, max(sequences, default=0) + 1)]
    if feed["end"] in ("drained", "complete"):
        expected = right[first:]
        report.count(f"feeds followed to their end: {feed['op']}")
    known = {one["q"]: one for one in right}
    for one in said:
        if not same(one, known.get(one["q"])):
            report.find("WRONG_READ", f"{at} gave {one}, and the log has {known.get(one['q'])}")
            break
    missing = sorted({one["q"] for one in expected} - set(sequences))
    if missing:
        what = f"{at}, {feed['end']}: {len(said)} records up to {sequences[-1:]}, without {missing[:5]}"
        report.find("FEED_LACKS", what)


def same(said, right):
    if right is None:
        # A token's subscription is of its case's log, and says what can't be read there.
        return False
    if "error" in said or "error" in right:
        return said.get("error") == right.get("error")
    return said == right


class Scopes:
    """What a subscription to a scope must give, in order."""

    def __init__(self, cases):
        self.cases, self.known = cases, {}

    def of(self, scope):
        if scope not in self.known:
            operation, workflow, case, token = scope
            logs = [log for key, log in self.cases.items() if key[0] == workflow and case in (None, key[1])]
            found = self.token(logs, token) if operation == "tokenUpdates" else self.events(logs)
            self.known[scope] = sorted(found, key=lambda one: one["q"])
        return self.known[scope]

    @staticmethod
    def events(logs):
        found = []
        for log in logs:
            for record in [*log.records, *(suspect for suspect, _, _ in log.suspects)]:
                event = {"q": record.seq, "c": record.case, "id": record.id, "kind": record.kind.upper()}
                found.append(event)
            found += [{"q": q, "error": "CORRUPT"} for q, _ in log.garbage]
        return found

    @staticmethod
    def token(logs, token):
        found = []
        for log in logs:
            changes = log.tokens.get(token, [])
            found += [{"q": q, "place": place, "data": data} for q, place, data in changes if place is not None]
            over = next((q for q, place, _ in changes if place is None), None)
            found += [{"q": q, "error": "CORRUPT"} for q, _ in log.garbage if over is None or q < over]
        return found
