"""A final no is only said of what the log has: in some state meanwhile, it was not possible."""

from bisect import bisect_right
from collections import Counter

from check_requests import SLACK
from nets import NETS

FINAL = ("NOT_ENABLED", "NOT_FOUND", "WRONG_STATUS", "INVALID_ARGUMENT", "CONFLICT")
OPEN = ("running", "paused")


def check_refusals(requests, cases, floor, run, past, report):
    for attempt in requests.changes:
        if attempt["out"] != "error" or attempt["retryable"] or attempt["code"] not in FINAL:
            continue
        if past.covers(attempt) or attempt["p"] == run.get("older"):
            continue
        log = cases.get((attempt["w"], attempt["c"]))
        # Another request under a used id is refused whatever the state is.
        if log is None or attempt["op"] == "createWorkflowInstance" or attempt["id"] in log.by_id:
            continue
        if attempt["op"] == "quarantineCase":
            check_quarantine(attempt, log, report)
            continue
        states = meanwhile(attempt, log, floor.at((attempt["w"], attempt["c"]), attempt["t0"]))
        report.count("final noes compared with the states of the log meanwhile")
        if states and all(possible(state, attempt) for state in states):
            name = f"line {attempt['n']}: {attempt['op']} by {attempt['by']} in {attempt['w']}/{attempt['c']}"
            what = f"{name} was refused with {attempt['code']} ({attempt['msg']})"
            report.find("FALSE_NO", f"{what}, and could happen at {states[0].seq} to {states[-1].seq}")


def check_quarantine(attempt, log, report):
    """That nothing is wrong is only said of a log in which nothing was, at some time meanwhile."""
    report.count("quarantines refused since nothing is wrong")
    for _, surely, end in log.windows:
        if surely is not None and surely < attempt["t0"] and (end is None or end > attempt["w1"] + SLACK):
            name = f"line {attempt['n']}: quarantineCase by {attempt['by']} in {attempt['w']}/{attempt['c']}"
            report.find("FALSE_NO", f"{name} was refused with {attempt['code']} ({attempt['msg']})")


def meanwhile(attempt, log, acknowledged):
    """The records that may have been the last one while a request was under way."""
    first = max(0, bisect_right(log.seqs, acknowledged) - 1)
    if acknowledged < log.seqs[0]:
        return []
    states = []
    for record in log.records[first:]:
        if record.time > attempt["w1"] + SLACK:
            break
        states.append(record)
    return states


def possible(record, attempt):
    """Whether a request could be done when this was the last record of its case."""
    asked, operation = attempt["in"], attempt["op"]
    if "expectedRevision" in asked and int(asked["expectedRevision"]) != record.seq:
        return False
    if operation in ("pauseCase", "resumeCase", "cancelCase"):
        return record.status in OPEN
    _, places, transitions = NETS[record.workflow]
    where = {token: place for token, place, _ in record.marking}
    held = Counter(where.values())
    if operation == "createToken":
        place = asked.get("initialPlace", NETS[record.workflow][0])
        return record.status in OPEN and held[place] < places[place]
    if operation == "updateTokenData":
        return record.status in OPEN and asked["tokenId"] in where
    takes, gives = transitions[asked["transitionId"]]
    if record.status != "running" or any(not held[place] for place in takes):
        return False
    if "tokenId" in asked and where.get(asked["tokenId"]) not in takes:
        return False
    if "newPlace" in asked and asked["newPlace"] not in gives:
        return False
    held.subtract(takes)
    held.update(gives)
    return all(held[place] <= most for place, most in places.items())
