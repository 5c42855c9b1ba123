"""Records as the log has them, each token under its id."""

import hashlib
import json


def body_of(message):
    """The record of a message of the log. Format 2 has the numbers of tokens and not their ids."""
    body = json.loads(message["d"])
    if not isinstance(body, dict) or body.get("format", 1) < 2:
        return body
    tag = hashlib.sha256(body["workflow"].encode()).hexdigest()[:10]

    def named(number):
        return f"{body['case']}-{tag}-{number}"

    def at(pairs):
        return [{"token": named(pair[0]), "place": pair[1]} if isinstance(pair, list) else pair for pair in pairs]

    for name in ("consumed", "read", "removed", "given"):
        if name in body:
            body[name] = at(body[name])
    for step in body.get("cascade", []):
        for name in ("consumed", "read", "removed", "produced"):
            if name in step:
                step[name] = at(step[name])
    if isinstance(body["marking"], dict):
        body["marking"] = [entry for place, tokens in body["marking"].items() for entry in of_place(named, place, tokens)]
    return body


def of_place(named, place, tokens):
    for token in tokens:
        number, *sequence = token if isinstance(token, list) else [token]
        yield {"token": named(number), "place": place} | ({"sequence": sequence[0]} if sequence else {})
