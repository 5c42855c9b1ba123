"""Event logs as PM4Py reads them: event_logs.py XES CSV OCEL2 PNML SIMULATED.

The first three are one history, SIMULATED (XES) are other cases of the same net.
"""

import json
import shutil
import sys
import warnings

warnings.simplefilter("ignore")

import pandas
import pm4py
from pm4py.util import constants

constants.SHOW_PROGRESS_BAR = False


def fits(log, net):
    """How many per cent of the traces fit, by token-based replay."""
    fitness = pm4py.fitness_token_based_replay(log, *net)
    return fitness["perc_fit_traces"], fitness["log_fitness"]


def must_fit(log, net, what):
    found = fits(log, net)
    assert found == (100.0, 1.0), f"{what}: {found}"


def must_not_fit(log, net, what):
    percent, fitness = fits(log, net)
    assert percent < 100.0 and fitness < 1.0, f"{what} fits: {percent}, {fitness}"


def spoiled(trace):
    """The events of one case with each one missing, and with each of them and the first, or the
    last, in each other's place."""
    names = list(trace["concept:name"])
    for at in range(len(names)):
        yield f"without event {at}", trace.drop(trace.index[at])
    for one, other in [(0, at) for at in range(1, len(names))] + [
        (at, len(names) - 1) for at in range(1, len(names) - 1)
    ]:
        swapped = trace.copy()
        order = names.copy()
        order[one], order[other] = order[other], order[one]
        if order != names:
            swapped["concept:name"] = order
            yield f"with events {one} and {other} swapped", swapped


def main(xes, csv, ocel2, pnml, simulated):
    net = pm4py.read_pnml(pnml, auto_guess_final_marking=False)
    log = pm4py.convert_to_dataframe(pm4py.read_xes(xes))
    events = len(log)
    for case, trace in log.groupby("case:concept:name"):
        times = list(trace["time:timestamp"])
        assert all(a < b for a, b in zip(times, times[1:])), f"{case}: {times}"
    last = log.groupby("case:concept:name").tail(1)
    ended = last[last["petrel:status"] == "completed"]["case:concept:name"]
    done = log[log["case:concept:name"].isin(ended)]
    assert log["case:concept:name"].nunique() == len(ended) + 1, list(ended)
    must_fit(done, net, "the log")
    spoilt = 0
    for case, trace in done.groupby("case:concept:name"):
        must_fit(trace, net, case)
        for what, other in spoiled(trace):
            must_not_fit(other, net, f"{case} {what}")
            spoilt += 1
    must_not_fit(log, net, "a log with a case that has not ended")
    print(f"xes: {events} events; {len(ended)} cases fit, {spoilt} spoiled ones do not")

    rows = pandas.read_csv(csv, dtype=str)
    assert list(rows["label"]) == list(log["concept:name"])
    assert set(rows["who"].dropna()) == set(log["org:resource"].dropna()) == {'Ann & "Bob"'}
    times = pandas.to_datetime(rows["time"], utc=True)
    assert list(times) == list(pandas.to_datetime(log["time:timestamp"], utc=True))
    print(f"csv: {len(rows)} events, the same")

    # PM4Py goes by the file's name.
    named = ocel2 + ".json"
    shutil.copyfile(ocel2, named)
    ocel = pm4py.read_ocel2_json(named)
    assert len(ocel.events) == events, len(ocel.events)
    assert set(ocel.objects["ocel:type"]) == {"case", "token"}
    qualifiers = set(ocel.relations["ocel:qualifier"])
    assert qualifiers == {"case", "consumed", "produced"}, qualifiers
    with open(ocel2, encoding="utf-8") as file:
        events = json.load(file)["events"]
    # OCEL 2.0 relates an event to an object once for each qualifier; PM4Py keeps one of them.
    related = [{related["objectId"] for related in event["relationships"]} for event in events]
    said = sum(map(len, related))
    assert len(ocel.relations) == said, (len(ocel.relations), said)
    flat = pm4py.ocel_flattening(ocel, "case")
    assert flat["case:concept:name"].nunique() == len(ended) + 1
    print(f"ocel2: {len(ocel.events)} events, {len(ocel.objects)} objects, {said} relations")

    log = pm4py.convert_to_dataframe(pm4py.read_xes(simulated))
    must_fit(log, net, "the simulated log")
    cases = log["case:concept:name"]
    must_not_fit(log.drop(log[cases == cases.iloc[0]].index[-1]), net, "an event less")
    print(f"simulated: {len(log)} events; {cases.nunique()} cases fit")


main(*sys.argv[1:])
