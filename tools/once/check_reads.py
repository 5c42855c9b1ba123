"""Reads of the log, and the states that answers show: never older than what was acknowledged."""

from check_requests import SLACK


def check_reads(requests, cases, floor, listings, past, crashes, report):
    """`crashes` says that the server's machine crashed."""
    looks = {"case": case_read, "marking": marking_read, "token": token_read, "history": history_read}
    for read in requests.reads:
        if past.covers(read):
            report.count("reads of a part of the log that was put back")
            continue
        if read["out"] == "error" and not read["retryable"] and (read["code"] != "CORRUPT" or "c" not in read):
            name = f"line {read['n']}: {read['op']} of {read['w']}/{read.get('c')}"
            if read["code"] == "NOT_FOUND" and "c" in read and not floor.at((read["w"], read["c"]), read["t0"]):
                report.count("reads of a case that is not there")
                continue
            if crashes and read["op"] == "tokensInPlace" and read["code"] == "MISCONFIGURED":
                # A crash in its first half minute takes the view's stream as a whole; it is made again at once.
                report.count("listings refused since the view was gone as a whole")
                continue
            report.find("UNEXPECTED_ERROR", f"{name}: {read['code']}, not retryable: {read['msg']}")
        if read["out"] != "ok":
            continue
        report.count("reads that were judged")
        if read["op"] in ("tokensInPlace", "cases"):
            listings.check(read)
            continue
        key = (read["w"], read["c"])
        looks[read["op"]](read, cases.get(key), floor.at(key, read["t0"]), report)
    for attempt in requests.changes:
        if "shows" in attempt:
            seen = floor.at((attempt["w"], attempt["c"]), attempt["t0"])
            if attempt["shows"] < seen:
                what = f"line {attempt['n']}: {attempt['op']} shows {attempt['w']}/{attempt['c']} at"
                report.find("STALE_ANSWER", f"{what} {attempt['shows']}, and {seen} was acknowledged before")


def stale(read, seen, floor, report):
    if seen >= floor:
        return False
    what = f"line {read['n']}: {read['op']} of {read['w']}/{read['c']} by process {read['p']} shows {seen}"
    report.find("STALE_READ", f"{what}, and {floor} was acknowledged before it began")
    return True


def wrong(read, why, report):
    report.find("WRONG_READ", f"line {read['n']}: {read['op']} of {read['w']}/{read['c']}: {why}")


def case_read(read, log, floor, report):
    answer = read["a"]
    if answer is None:
        return stale(read, 0, floor, report)
    revision = int(answer["revision"])
    record = log.by_seq.get(revision) if log else None
    if stale(read, revision, floor, report):
        return None
    if record is None or record.hash != answer["headHash"]:
        return wrong(read, f"revision {revision} with that hash is not in the log", report)
    said = [(token["id"], token["placeId"], int(token["revision"])) for token in answer["tokens"]]
    if sorted(said) != sorted(record.marking) or answer["status"].lower() != record.status:
        return wrong(read, f"{said} at {revision}, and the log has {record.marking}", report)
    return None


def marking_read(read, log, floor, report):
    answer = read["a"]
    sequence = int(answer["sequence"])
    if stale(read, sequence, floor, report):
        return None
    record = log.by_seq.get(sequence) if log else None
    said = [(entry["tokenId"], entry["placeId"], int(entry["sequence"])) for entry in answer["entries"]]
    if record is None or sorted(said) != sorted(record.marking):
        return wrong(read, f"{said} at {sequence} is not what the log has", report)
    return None


def token_read(read, log, floor, report):
    """A token's version must still have been the last one at the last acknowledged change."""
    answer, changes = read["a"], log.tokens.get(read["k"], []) if log else []
    if answer is None:
        known = any(seq <= floor for seq, _, _ in changes)
        gone = any(p is None and log.by_seq[seq].time <= read["w1"] + SLACK for seq, p, _ in changes)
        if known and not gone:
            return wrong(read, f"{read['k']} was alive all the time, and was not found", report)
        return None
    revision = int(answer["revision"])
    number = next((i for i, change in enumerate(changes) if change[0] == revision), None)
    if number is None or changes[number][1] != answer["placeId"] or changes[number][2] != answer["data"]:
        return wrong(read, f"{read['k']} was never so: {answer}", report)
    later = [change for change in changes[number + 1 :] if change[0] <= floor]
    if later:
        stale(read, revision, later[-1][0], report)
    return None


def history_read(read, log, floor, report):
    said = [tuple(pair) for pair in read["a"]]
    last = said[-1][0] if said else read["since"]
    if stale(read, last, floor, report):
        return None
    records = log.records if log else []
    right = [(r.seq, r.id) for r in records if read["since"] < r.seq <= last]
    if said != right:
        return wrong(read, f"after {read['since']} it has {len(said)} records up to {last}, the log {len(right)}", report)
    return None
