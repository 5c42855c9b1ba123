"""Hooks of schemathesis: values of JSON, ids that are there, and the codes of a refusal with reason.

A document that fits the schema can be refused with reason, because an empty id fits the schema. The
checks `not_a_server_error` and `positive_data_acceptance` report each refusal, so `reasonable` takes
their place.
"""

import itertools
import json

import graphql
import schemathesis
from hypothesis import strategies

REASONS = {"INVALID_ARGUMENT", "NOT_FOUND", "NOT_SOUND", "NOT_ENABLED", "WRONG_STATUS", "CONFLICT"}
REASONS |= {"ALREADY_EXISTS", "TOO_LARGE"}
# Of the workflow of world.mjs, and of one case and another: one that is cancelled changes no more.
KNOWN = {"workflowId": "X", "transitionId": "more", "place": "b", "placeId": "b"}
turn = itertools.count()


def literal(value):
    """Writes a value as GraphQL does: as JSON does, but for the names of an object."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {literal(of)}" for key, of in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def lists(inner):
    return strategies.lists(inner, max_size=4) | strategies.dictionaries(names, inner, max_size=4)


names = strategies.sampled_from(["a", "b", "nested", "of", "total"])
leaves = strategies.booleans() | strategies.integers() | strategies.text(max_size=9)
leaves |= strategies.floats(allow_nan=False, allow_infinity=False)
values = strategies.recursive(leaves, lambda inner: lists(inner | strategies.none()), max_leaves=20)
schemathesis.graphql.scalar("JSON", values.map(lambda value: graphql.parse_value(literal(value))))


class Knowing(graphql.Visitor):
    """Puts ids that are there in the place of made-up ones."""

    def enter(self, node, *_):
        if not isinstance(node, graphql.ArgumentNode | graphql.ObjectFieldNode):
            return None
        known = f"case{next(turn) % 9}" if node.name.value == "caseId" else KNOWN.get(node.name.value)
        if known is None or not isinstance(node.value, graphql.StringValueNode):
            return None
        value = graphql.StringValueNode(value=known)
        return type(node)(name=node.name, value=value)


@schemathesis.hook
def map_body(context, body):
    """Leaves every second document as it was made."""
    return graphql.visit(body, Knowing()) if next(turn) % 2 else body


@schemathesis.check
def reasonable(context, response, case):
    """Refuses what is no answer of GraphQL, and an error that is not the caller's."""
    assert response.status_code == 200, f"status {response.status_code}"
    answer = response.json()
    spoiled = case.meta is not None and case.meta.generation.mode.is_negative
    for error in answer.get("errors", []):
        code, path = error["extensions"]["code"], error.get("path")
        # Pages of any size can be asked for, and then cost too much.
        costly = error["message"].startswith("the query costs")
        refused = code == "INVALID_REQUEST" and (spoiled or costly)
        assert code in REASONS if path else refused, f"{code}: {error['message']}"
        assert error["extensions"]["retryable"] in ([True, False] if code == "CONFLICT" else [False]), error
    assert answer.get("data") is not None or answer.get("errors"), answer
