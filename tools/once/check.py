"""The checker: judges a run by its dump of the raw streams and its journal, and by nothing else.

Alone: python3 check.py FOLDER, where FOLDER has dump.jsonl.gz and journal.jsonl.
"""

import os
import sys

from check_log import Logs
from check_reads import check_reads
from check_refusals import check_refusals
from check_requests import Floor, Requests, check_requests
from check_view import check_view
from dump import load
from journal import read
from report import Report

OPERATIONS = (
    "createWorkflowInstance", "createToken", "fireCase", "fireTransition", "transitionTokenWithNats",
    "updateTokenData", "pauseCase", "resumeCase", "cancelCase",
)
FAULTS = {
    "kills": ["kill"], "swallow": ["kill", "swallow", "cut"], "cluster": ["freeze", "leader-kill"], "calm": [],
}


def judge(messages, lines):
    """The report on a run."""
    report = Report()
    run = next(line for line in lines if line["t"] == "run")
    requests = Requests(lines)
    logs, registers = Logs(requests.first, report), {}
    for message in messages:
        if message["s"] == "CB_LOG":
            logs.add(message)
        else:
            registers[message["subj"]] = message
    cases = logs.cases
    acks = check_requests(requests, cases, run["cluster"], report)
    floor = Floor(acks)
    check_reads(requests, cases, floor, report)
    check_refusals(requests, cases, floor, report)
    check_view(registers, cases, report)
    count(lines, requests, report)
    report.count("cases", len(cases))
    return report


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
        if line["t"] == "metrics":
            report.count("lost races, by the metrics of the processes", line["races"])
            report.count("appends tried again, by the metrics of the processes", line["retries"])


def required(scenario):
    """What must have happened for the run to count."""
    needed = [f"requests: {operation}" for operation in OPERATIONS]
    needed += ["requests: with id", "requests: without id", "repeats sent", "answers: repeated"]
    needed += ["reads: case", "reads: marking", "reads: token", "reads: history", "reads that were judged"]
    needed += ["sent as: late", "sent as: repeat", "sent as: other", "sent as: race", "errors, final: NOT_ENABLED"]
    if scenario == "calm":
        return needed
    needed += ["lost races, by the metrics of the processes", "conflicts: another request under a used id"]
    needed += ["sent as: retry", "answers: dropped"] + [f"faults: {what}" for what in FAULTS[scenario]]
    # With NATS at hand all the time, what leaves it open is an answer that a kill took away.
    return needed + ["answers: lost" if scenario == "kills" else "errors, retryable"]


def main(arguments):
    if len(arguments) != 1:
        print(__doc__)
        return 2
    folder = arguments[0]
    lines = list(read(os.path.join(folder, "journal.jsonl")))
    report = judge(load(os.path.join(folder, "dump.jsonl.gz")), lines)
    report.print()
    scenario = next(line for line in lines if line["t"] == "run")["scenario"]
    missing = [name for name in required(scenario) if not report.counts[name]]
    for name in missing:
        print(f"\ndid not count: none of “{name}”")
    print(f"\n{folder}: {sum(map(len, report.findings.values()))} findings" + (", did not count" if missing else ""))
    return 1 if report.findings else 3 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
