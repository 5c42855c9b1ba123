"""The marking view at the end: each token of the log's heads in one place, and nothing else."""

import json
from collections import defaultdict


def check_view(registers, cases, report):
    """`registers` are the last messages of the subjects."""
    where = defaultdict(dict)
    for subject, message in registers.items():
        parts = subject.split(".")
        if message["d"] and "places" in parts:
            place, token = parts[-3], parts[-1]
            where[parts[-5], token][place] = message
    report.count("tokens in the view", len(where))
    for (workflow, token), places in where.items():
        if len(places) > 1:
            report.find("TWO_PLACES", f"{workflow} {token} is in {', '.join(sorted(places))}")
    right = {}
    for (workflow, _), log in cases.items():
        head = log.head()
        for token, place, sequence in head.marking:
            right[workflow, token] = (place, sequence, log)
    for key in where.keys() - right.keys():
        report.find("VIEW_DIFFERS", f"{key[0]} {key[1]} is in {sorted(where[key])}, and the log has it nowhere")
    for key, (place, sequence, log) in right.items():
        check_token(key, place, sequence, log, where.get(key, {}), report)


def check_token(key, place, sequence, log, places, report):
    name = f"{key[0]} {key[1]}"
    if place not in places:
        return report.find("VIEW_DIFFERS", f"{name} is in {place}, and the view has it in {sorted(places)}")
    message = places[place]
    body, headers = json.loads(message["d"]), message["h"]
    changes = log.tokens.get(key[1], [])
    made = next((data for seq, _, data in changes if seq == sequence), None)
    said = (headers.get("Petrel-Revision"), body.get("place"), body.get("data"))
    if said != (str(sequence), place, made):
        report.find("VIEW_DIFFERS", f"{name} is {said} in the view, and record {sequence} made it in {place}")
    return None
