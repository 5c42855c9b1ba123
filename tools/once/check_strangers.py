"""A case whose log has what is no record: unreadable by a typed error until that is put aside, and then as before."""

from collections import defaultdict

from check_requests import SLACK

STRONG = ("case", "marking", "token", "history")


def note_windows(lines, cases):
    """For each case: from when (may be, surely) until when it could not be read."""
    surely = {line["q"]: line["t1"] for line in lines if line["t"] == "stranger" and "q" in line}
    for log in cases.values():
        log.windows = []
        for seq, time in log.garbage:
            end = next((record.time for record in log.quarantines if record.seq > seq), None)
            log.windows.append((time, surely.get(seq), end))


def check_strangers(requests, cases, run, past, report):
    for log in cases.values():
        check_log(log, report)
    for line in requests.changes + requests.reads:
        if line["p"] == run.get("older"):
            continue
        log = cases.get((line["w"], line.get("c")))
        if log is not None and line["op"] != "quarantineCase" and not past.covers(line):
            check_line(line, log, report)
        if line["out"] == "error" and line["code"] == "CORRUPT" and not past.covers(line):
            check_corrupt(line, log, report)
    repeats(requests, cases, report)


def at(line):
    return f"line {line['n']}: {line['op']} of {line['w']}/{line['c']} by process {line['p']}"


def check_line(line, log, report):
    """What was asked while a case could not be read."""
    for _, surely, end in log.windows:
        if surely is None or line["t0"] < surely or (end is not None and line["w1"] >= end - SLACK):
            continue
        if line["out"] == "ok":
            report.find("PASSED_OVER", f"{at(line)} was answered, and the case could not be read")
        elif line["out"] == "error" and line["code"] == "CORRUPT":
            report.count("requests refused since a case can't be read" if line["t"] == "change"
                         else "reads refused since a case can't be read")
        elif line["out"] == "error" and not line["retryable"]:
            report.count(f"other final errors while a case can't be read: {line['op']} {line['code']}")
        return


def check_corrupt(line, log, report):
    windows = log.windows if log else []
    if any(w0 <= line["w1"] + SLACK and (end is None or end >= line["w0"] - SLACK) for w0, _, end in windows):
        return
    if log is not None and log.suspects:
        return
    where = f"line {line['n']}: {line['op']} of {line['w']}/{line.get('c')}"
    report.find("UNEXPECTED_ERROR", f"{where}: CORRUPT, and all could be read: {line['msg']}")


def check_log(log, report):
    """Each record names exactly what is put aside before it."""
    report.count("messages in cases' logs that are no records", len(log.garbage))
    report.count("quarantines that put something aside", len(log.quarantines))
    bad = sorted([seq for seq, _ in log.garbage] + [suspect.seq for suspect, _, _ in log.suspects])
    if not bad:
        return
    good = log.seqs
    for record in log.records:
        before = [seq for seq in bad if seq < record.seq]
        ranges = record.aside
        covered = [seq for seq in before if any(first <= seq <= last for first, last in ranges)]
        wrong = [seq for seq in good if any(first <= seq <= last for first, last in ranges)]
        if covered != before:
            finding = "PASSED_OVER" if record.kind != "quarantined" and not covered else "WRONG_ASIDE"
            missing = sorted(set(before) - set(covered))
            report.find(finding, f"{record.at()} puts {ranges} aside, and {missing[:5]} are no records")
        elif wrong:
            report.find("WRONG_ASIDE", f"{record.at()} puts {ranges} aside, and {wrong[:5]} are good")
    if bad[-1] > log.head().seq:
        report.count("cases that end unreadable")


def repeats(requests, cases, report):
    """Ids of before a quarantine that were asked for again after it."""
    for change in requests.changes:
        log = cases.get((change["w"], change["c"]))
        if not change["id"] or log is None or not log.quarantines or change["out"] != "ok":
            continue
        record = log.by_id.get(change["id"])
        ends = [q.time for q in log.quarantines if record is not None and q.seq > record.seq]
        if ends and change["w0"] > ends[0] + SLACK:
            report.count("repeats of ids of before a quarantine, after it")


