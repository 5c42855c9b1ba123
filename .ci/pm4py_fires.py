"""Fires definitions and their files of the prom profile side by side: pm4py_fires.py PETREL FOLDER.

Standard input has a definition (JSON) and its PNML file on each line. Beside these there are
definitions made at random, with arcs of every kind, several at one place; what petrel refuses to
export is left out, and most of it is not refused. In every marking that a definition reaches,
PM4Py must find the same transitions enabled, with the same markings after them.
"""

import json
import random
import re
import subprocess
import sys
from collections import Counter

import pm4py
from pm4py.objects.petri_net.inhibitor_reset.semantics import InhibitorResetSemantics
from pm4py.objects.petri_net.obj import InhibitorNet, ResetNet
from pm4py.objects.petri_net.semantics import ClassicSemantics

MARKINGS = 300
RANDOM = 250


def modes(definition):
    """Each way to fire: its id in the file, what it takes, and what it gives."""
    for transition in definition.get("transitions", []):
        inputs = [
            (arc["place"], arc.get("kind", "consume"), arc.get("weight", 1))
            for arc in transition.get("inputs", [])
        ]
        outputs = [(arc["place"], arc.get("weight", 1)) for arc in transition.get("outputs", [])]
        outputs += [(transition["to_place"], 1)] if "to_place" in transition else []
        sources = transition.get("from_places", [])
        for source in sources or [None]:
            name = f"{transition['id']}.{source}" if len(sources) > 1 else transition["id"]
            taken = [(source, "consume", 1)] if source else []
            yield name, taken + inputs, outputs


def fired(marking, inputs, outputs):
    """The rule, as docs have it: what is read is there beside what is taken."""
    needs = Counter()
    for place, kind, weight in inputs:
        needs[place] += weight if kind in ("consume", "read") else 0
        if kind == "inhibitor" and marking[place] >= weight:
            return None
    if any(marking[place] < count for place, count in needs.items()):
        return None
    after = Counter(marking)
    for place, kind, weight in inputs:
        after[place] -= weight if kind == "consume" else 0
    for place, kind, _ in inputs:
        after[place] = 0 if kind == "reset" else after[place]
    for place, weight in outputs:
        after[place] += weight
    return frozenset((+after).items())


def original(id):
    """An id as it was before it was spelled out for XML."""
    return re.sub("_x([0-9A-F]{4,6})_", lambda found: chr(int(found[1], 16)), id)


def compare(definition, file):
    net, initial, _ = pm4py.read_pnml(file)
    special = isinstance(net, (InhibitorNet, ResetNet))
    semantics = InhibitorResetSemantics() if special else ClassicSemantics()
    ways = {name: (inputs, outputs) for name, inputs, outputs in modes(definition)}
    transitions = {original(transition.name): transition for transition in net.transitions}
    places = {original(place.name): place for place in net.places}
    assert set(ways) == set(transitions), (file, set(ways) ^ set(transitions))
    start = frozenset({definition["initial_place"]: 1}.items())
    assert start == frozenset((original(place.name), count) for place, count in initial.items()), file
    seen, queue = {start}, [start]
    while queue and len(seen) < MARKINGS:
        marking = queue.pop(0)
        theirs = pm4py.objects.petri_net.obj.Marking()
        theirs.update({places[name]: count for name, count in marking})
        for name, (inputs, outputs) in ways.items():
            ours = fired(Counter(dict(marking)), inputs, outputs)
            found = semantics.execute(transitions[name], net, theirs)
            if found is not None:
                counts = ((original(place.name), count) for place, count in found.items())
                found = frozenset((place, count) for place, count in counts if count)
            if found != ours:
                sys.exit(f"{file}: {name} in {dict(marking)}: {ours} in petrel, {found} in PM4Py")
            if ours is not None and ours not in seen:
                seen.add(ours)
                queue.append(ours)
    return len(seen)


def at_random(chance, number):
    places = [f"p{at}" for at in range(chance.randint(2, 4))]
    transitions = [
        {"id": "start", "inputs": [{"place": "i"}],
         "outputs": [{"place": place, "weight": chance.randint(1, 4)} for place in places]}
    ]
    for at in range(chance.randint(2, 4)):
        kinds = {}
        for _ in range(chance.randint(1, 4)):
            kind = chance.choice(["consume"] * 4 + ["read"] * 3 + ["inhibitor", "reset"])
            weight = 1 if kind in ("inhibitor", "reset") else chance.randint(1, 2)
            place = chance.choice(places)
            kinds[place, kind] = {"place": place, "kind": kind, "weight": weight}
        kinds.setdefault((places[0], "consume"), {"place": places[0]})
        outputs = [{"place": chance.choice(places + ["o"])} for _ in range(chance.randint(1, 2))]
        transitions.append({"id": f"t{at}", "inputs": list(kinds.values()), "outputs": outputs})
    ids = ["i", *places, "o"]
    return {"id": f"random-{number}", "initial_place": "i", "transitions": transitions,
            "places": [{"id": id} for id in ids]}


def main(petrel, folder):
    files = [line.split() for line in sys.stdin]
    markings = 0
    for path, file in files:
        with open(path, encoding="utf-8") as text:
            markings += compare(json.load(text), file)
    chance, written = random.Random(7), 0
    for number in range(RANDOM):
        definition = at_random(chance, number)
        path, file = f"{folder}/random.json", f"{folder}/random.pnml"
        with open(path, "w", encoding="utf-8") as text:
            json.dump(definition, text)
        command = [petrel, "export", path, "--profile", "prom", "-o", file]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            written += 1
            markings += compare(definition, file)
        elif "can't be written exactly" not in done.stderr and "problem" not in done.stderr:
            sys.exit(f"{definition}: {done.stderr}")
    if written < RANDOM / 4 or not files:
        sys.exit(f"of {RANDOM} definitions {written} were written, and {len(files)} were given")
    print(f"PM4Py fires {len(files)} files and {written} made at random as petrel: "
          f"{markings} markings")


main(*sys.argv[1:])
