"""Reads files of the prom profile with PM4Py and compares them with their definitions.

Standard input has a definition (JSON) and its PNML file on each line.
"""

import json
import sys
from collections import Counter

import pm4py


def expected(definition):
    """Places, transitions' labels, arcs by kind, initial and final marking of a definition."""
    arcs, labels, taken = Counter(), Counter(), set()
    for transition in definition.get("transitions", []):
        sources = transition.get("from_places", [])
        for source in sources or [None]:
            silent = transition.get("silent", False)
            labels[None if silent else transition.get("name", transition["id"])] += 1
            # Arcs that lead the same way between the same two are one in the file.
            ends = {("normal", "from", source)} if source else set()
            for arc in transition.get("inputs", []):
                kind = arc.get("kind", "consume")
                # A read arc takes and gives back.
                special = kind in ("inhibitor", "reset")
                ends.add((kind if special else "normal", "from", arc["place"]))
                if kind == "read":
                    ends.add(("normal", "to", arc["place"]))
            outputs = [arc["place"] for arc in transition.get("outputs", [])]
            outputs += [transition["to_place"]] if "to_place" in transition else []
            ends.update(("normal", "to", place) for place in outputs)
            arcs.update(kind for kind, _, _ in ends)
        taken.update(sources)
        taken.update(
            arc["place"]
            for arc in transition.get("inputs", [])
            if arc.get("kind", "consume") == "consume"
        )
    names = {place["id"]: place.get("name", place["id"]) for place in definition["places"]}
    final = [names[id] for id in names if id not in taken]
    final = {final[0]: 1} if len(final) == 1 else None
    for marking in definition.get("final_markings", []):
        final = {names[id]: count for id, count in marking.items() if count}
    return sorted(names.values()), labels, +arcs, {names[definition["initial_place"]]: 1}, final


def read(file):
    """The same of a PNML file, as PM4Py has it."""
    net, initial, final = pm4py.read_pnml(file)
    name = lambda place: place.properties["place_name_tag"]
    arcs = Counter(arc.properties.get("arctype") or "normal" for arc in net.arcs)
    labels = Counter(transition.label for transition in net.transitions)
    markings = ({name(place): count for place, count in marking.items()} for marking in (initial, final))
    return sorted(map(name, net.places)), labels, arcs, *markings


count = 0
for line in sys.stdin:
    path, file = line.split()
    with open(path, encoding="utf-8") as text:
        wanted = expected(json.load(text))
    found = read(file)
    for what, want, got in zip(["places", "labels", "arcs", "initial", "final"], wanted, found):
        if want is not None and want != got:
            sys.exit(f"{file}: {what}: the definition has {want}, PM4Py reads {got}")
    count += 1
if not count:
    sys.exit("there was nothing to read")
print(f"PM4Py: {count} files mean what their definitions say")
