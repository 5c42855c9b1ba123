"""The checker: judges a run by its dump of the raw streams and its journal, and by nothing else.

Alone: python3 check.py FOLDER, where FOLDER has dump.jsonl.gz and journal.jsonl.
"""

import os
import sys

from check_back import Past, check_back
from check_feeds import check_feeds
from check_listings import Listings
from check_log import Logs
from check_reads import check_reads
from check_refusals import check_refusals
from check_requests import Floor, Requests, check_requests
from check_strangers import check_strangers, note_windows
from check_view import check_view
from dump import load
from journal import read
from report import Report

OPERATIONS = (
    "createWorkflowInstance", "createToken", "fireCase", "fireTransition", "transitionTokenWithNats",
    "updateTokenData", "pauseCase", "resumeCase", "cancelCase", "quarantineCase",
)
FAULTS = {
    "kills": ["kill"], "swallow": ["kill", "swallow", "cut"], "cluster": ["freeze", "leader-kill"],
    "replicas": ["kill", "server-kill"], "server": ["kill", "server-kill"], "crash": ["kill", "crash", "write-back"],
    "stranger": ["kill"], "back": ["copy", "put-back"], "old": ["kill"], "calm": [],
}


def judge(messages, lines):
    """The report on a run."""
    report = Report()
    run = next(line for line in lines if line["t"] == "run")
    requests = Requests(lines)
    messages = list(messages)
    past = Past(lines, messages)
    logs, registers = Logs(requests.first, report, run["scenario"]), {}
    for message in messages:
        if message["s"] == "CB_LOG":
            logs.add(message)
            if "Nats-Batch-Id" in message["h"]:
                report.count(TOGETHER)
        else:
            registers[message["subj"]] = message
    cases = logs.cases
    for log in cases.values():
        log.judge_suspects()
    note_windows(lines, cases)
    acks = check_requests(requests, cases, run, past, report)
    floor = Floor(acks)
    listings = Listings(run, lines, cases, acks, floor, report)
    check_reads(requests, cases, floor, listings, past, run["scenario"] == "crash", report)
    check_refusals(requests, cases, floor, run, past, report)
    check_strangers(requests, cases, run, past, report)
    check_feeds(requests.feeds, cases, past, report)
    check_back(requests, past, cases, report)
    check_view(registers, cases, report)
    count(lines, requests, report)
    at_once(requests, report)
    report.count("cases", len(cases))
    return report


def at_once(requests, report):
    """How many requests of each kind were under way beside one of another kind in the same case."""
    running = {}
    for change in sorted(requests.changes, key=lambda line: line["t0"]):
        key = (change["w"], change["c"])
        beside = running[key] = [one for one in running.get(key, []) if one["t1"] > change["t0"]]
        for one in beside + [change] if any(one["op"] != change["op"] for one in beside) else []:
            one["beside"] = True
        beside.append(change)
    for change in requests.changes:
        if change.pop("beside", False):
            report.count(f"under way beside another kind in its case: {change['op']}")


def count(lines, requests, report):
    used = set()
    for change in requests.changes:
        report.count(f"requests: {change['op']}")
        report.count("requests: with id" if change["id"] else "requests: without id")
        if change["by"] in used:
            report.count("repeats sent")
        used.add(change["by"])
        report.count(f"answers: {change['out']}")
        report.count(f"sent as: {change['why']}")
        if change["out"] == "error":
            kind = "retryable" if change["retryable"] else "final"
            report.count(f"errors, {kind}: {change['code']}")
            report.count(f"errors, {kind}")
    for look in requests.reads:
        report.count(f"reads: {look['op']}")
        report.count(f"reads, answered: {look['out']}")
        if look["out"] == "error" and look["retryable"]:
            report.count("errors, retryable")
    for line in lines:
        if line["t"] == "fault":
            report.count(f"faults: {line['what']}")
        if line["t"] == "stranger":
            report.count(f"written by a stranger: {line['what']}")
        if line["t"] == "rebuild":
            report.count(f"rebuilds at the end, exit code {line['exit']}")
        if line["t"] == "metrics":
            report.count("lost races, by the metrics of the processes", line["races"])
            report.count("appends tried again, by the metrics of the processes", line["retries"])


TOGETHER = "records in the log: appended together with others"
FEEDS = ("workflowEvents", "caseEvents", "tokenUpdates")
STRANGE = [
    "written by a stranger: case", "written by a stranger: token", "written by a stranger: definition",
    "requests refused since a case can't be read", "reads refused since a case can't be read",
    "quarantines that put something aside", "quarantines refused since nothing is wrong",
    "repeats of ids of before a quarantine, after it", "messages that feeds said can't be read",
    "rebuilds at the end, exit code 0", "sent as: command",
]
BACK = [
    "acknowledged, and gone with the log", "gone with the log, and happened again",
    "repeats of what the copy had, after it was put back", "feeds that said that the log went back",
]
OLD = ["records in the log: by the older version", "records in the log: with lists"]


def required(scenario):
    """What must have happened for the run to count."""
    operations = [one for one in OPERATIONS if scenario != "old" or one != "quarantineCase"]
    needed = [f"requests: {operation}" for operation in operations]
    needed += [f"under way beside another kind in its case: {operation}" for operation in operations]
    needed += ["requests: with id", "requests: without id", "repeats sent", "answers: repeated"]
    needed += ["reads: case", "reads: marking", "reads: token", "reads: history", "reads that were judged"]
    needed += ["reads: tokensInPlace", "reads: cases", "cases by status: listed"]
    needed += ["cases by status: left out, and rightly"]
    needed += [f"feeds resumed, with more: {feed}" for feed in FEEDS]
    needed += [f"feeds followed to their end: {feed}" for feed in FEEDS]
    needed += ["sent as: late", "sent as: repeat", "sent as: other", "sent as: race", "sent as: storm"]
    needed += ["errors, final: NOT_ENABLED", "conflicts: that name the first use"]
    needed += STRANGE if scenario in ("stranger", "calm") else []
    needed += BACK if scenario == "back" else OLD if scenario == "old" else []
    if scenario in ("kills", "stranger", "calm"):
        needed.append("tokens in a place: listed")
    if scenario == "calm":
        return needed
    needed += ["lost races, by the metrics of the processes", "conflicts: another request under a used id"]
    needed += ["sent as: retry", "answers: dropped"] + [f"faults: {what}" for what in FAULTS[scenario]]
    # With NATS at hand all the time, what leaves it open is an answer that a kill took away.
    return needed + ["answers: lost" if scenario in ("kills", "stranger", "old") else "errors, retryable"]


def main(arguments):
    if len(arguments) != 1:
        print(__doc__)
        return 2
    folder = arguments[0]
    lines = list(read(os.path.join(folder, "journal.jsonl")))
    report = judge(load(os.path.join(folder, "dump.jsonl.gz")), lines)
    report.print()
    run = next(line for line in lines if line["t"] == "run")
    needed = required(run["scenario"]) + ([TOGETHER] if run.get("group") == "always" else [])
    missing = [name for name in needed if not report.counts[name]]
    for name in missing:
        print(f"\ndid not count: none of “{name}”")
    print(f"\n{folder}: {sum(map(len, report.findings.values()))} findings" + (", did not count" if missing else ""))
    return 1 if report.findings else 3 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
