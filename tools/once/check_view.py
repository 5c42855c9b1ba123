"""The marking view at the end: each token of the log's heads in one place, and nothing else."""

import json
from collections import defaultdict


def check_view(messages, cases, report):
    registers = {}
    for message in messages:
        registers[message["subj"]] = message
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
        for entry in head.body["marking"]:
            right[workflow, entry["token"]] = (entry["place"], entry.get("sequence") or head.seq, log)
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
    produced = log.by_seq[sequence].body.get("produced", []) if sequence in log.by_seq else []
    token = next((token for token in produced if token["id"] == key[1]), None)
    said = (headers.get("Petrel-Revision"), body.get("place"), body.get("data"))
    if token is None or said != (str(sequence), place, token["data"]):
        report.find("VIEW_DIFFERS", f"{name} is {said} in the view, and record {sequence} made it in {place}")
    return None
