"""The nets that are driven, as plain data; the checker reckons with them by rules of its own.

Every arc has weight 1. Whatever fires, `n` of what it makes is `n` of the first token taken, plus 1.
"""

OUTPUT = '{"n": tokens[0].data.n + 1}'

# workflow -> initial place, places with their capacities, transition -> (takes from, gives to)
NETS = {
    "loop": ("a", {"a": 6, "b": 6}, {"go": (["a"], ["b"]), "back": (["b"], ["a"])}),
    "tick": ("a", {"a": 4}, {"tick": (["a"], ["a"])}),
    "fork": (
        "start",
        {"start": 3, "left": 3, "right": 3, "left2": 3, "right2": 3},
        {
            "split": (["start"], ["left", "right"]),
            "l": (["left"], ["left2"]),
            "r": (["right"], ["right2"]),
            "join": (["left2", "right2"], ["start"]),
        },
    ),
}


def definition(workflow):
    """The input of createWorkflow."""
    initial, places, transitions = NETS[workflow]
    arcs = lambda places: [{"place": place} for place in places]
    return {
        "id": workflow,
        "name": workflow,
        "initialPlace": initial,
        "places": [{"id": place, "capacity": most} for place, most in places.items()],
        "transitions": [
            {"id": name, "inputs": arcs(takes), "outputs": arcs(gives), "output": OUTPUT}
            for name, (takes, gives) in transitions.items()
        ],
    }
