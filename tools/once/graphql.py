"""One request of each kind: its GraphQL, and what an answer says."""

MUTATIONS = {
    # operation: (input type, what of the answer is selected)
    "createWorkflowInstance": ("CreateWorkflowInstanceInput", "token"),
    "createToken": ("CreateTokenInput", "token"),
    "fireCase": ("FireCaseInput", "firing"),
    "fireTransition": ("FireTransitionInput", "firing"),
    "transitionTokenWithNats": ("TransitionTokenWithNatsInput", "nats"),
    "updateTokenData": ("UpdateTokenDataInput", "token"),
    "pauseCase": ("CaseChangeInput", "case"),
    "resumeCase": ("CaseChangeInput", "case"),
    "cancelCase": ("CaseChangeInput", "case"),
    "quarantineCase": ("QuarantineCaseInput", "case"),
}

SELECTIONS = {
    "firing": "sequence firingId transitionId repeated token { id placeId revision }"
    " case { revision status tokens { id placeId } }",
    "token": "id caseId placeId data revision",
    "nats": "id caseId placeId data natsSequence",
    "case": "id status revision tokens { id placeId }",
}

READS = {
    "case": "query($w: ID!, $c: ID!) { case(workflowId: $w, id: $c)"
    " { revision status headHash tokens { id placeId revision data } } }",
    "marking": "query($w: ID!, $c: ID!) { marking(workflowId: $w, caseId: $c)"
    " { sequence entries { tokenId placeId sequence } } }",
    "token": "query($w: ID!, $k: ID!) { findToken(workflowId: $w, tokenId: $k, strong: true)"
    " { id placeId revision data } }",
    "history": "query($w: ID!, $c: ID!, $after: String) {"
    " history(workflowId: $w, caseId: $c, first: 200, after: $after)"
    " { pageInfo { hasNextPage endCursor } nodes { sequence firingId kind } } }",
    "tokensInPlace": "query($w: ID!, $pl: ID!) { tokensInPlace(workflowId: $w, placeId: $pl, first: 1000)"
    " { pageInfo { hasNextPage } nodes { id revision } } }",
    "cases": "query($w: ID!, $st: CaseStatus!) { cases(workflowId: $w, status: $st, first: 1000)"
    " { pageInfo { hasNextPage } nodes { id revision status } } }",
}

TYPES = {"token": "Token", "nats": "NatsToken", "case": "Case"}


def selections(has_repeated):
    """What is selected; `repeated` where the schema has it."""
    return {
        shape: fields + (" repeated" if TYPES.get(shape) in has_repeated else "")
        for shape, fields in SELECTIONS.items()
    }


def mutation(operation, selected):
    kind, shape = MUTATIONS[operation]
    return f"mutation($input: {kind}!) {{ it: {operation}(input: $input) {{ {selected[shape]} }} }}"


def said(operation, it):
    """The parts of an answer that the checker compares, by the same names for every kind."""
    shape = MUTATIONS[operation][1]
    found = {"repeated": it.get("repeated")}
    if shape == "firing":
        case = it["case"]
        found |= {"seq": int(it["sequence"]), "firing": it["firingId"], "transition": it["transitionId"]}
        found |= {"revision": int(case["revision"]), "status": case["status"]}
        found["tokens"] = {token["id"]: token["placeId"] for token in case["tokens"]}
    elif shape == "case":
        found |= {"revision": int(it["revision"]), "status": it["status"]}
        found["tokens"] = {token["id"]: token["placeId"] for token in it["tokens"]}
    else:
        sequence = it["revision"] if shape == "token" else it["natsSequence"]
        found |= {"seq": int(sequence), "token": it["id"], "place": it["placeId"]}
        found |= {"case": it["caseId"], "data": it["data"]}
    return found


def with_short_ids(answer):
    """The same with the short id of each object as its `id`: one that is unique across everything has
    its type, its workflow and the short id, with dots between them; older versions have no others."""
    if isinstance(answer, list):
        return [with_short_ids(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    known = {key: value if key in ("data", "patch") else with_short_ids(value) for key, value in answer.items()}
    if isinstance(known.get("id"), str) and "." in known["id"]:
        known["id"] = known["id"].split(".")[2]
    return known


def outcome(answer):
    """('ok', the field) or ('error', what the error says)."""
    errors = answer.get("errors")
    if not errors:
        return "ok", {key: with_short_ids(value) for key, value in answer["data"].items()}
    first = errors[0]
    extensions = first.get("extensions") or {}
    error = {"code": extensions.get("code"), "retryable": bool(extensions.get("retryable"))}
    error["msg"] = str(first.get("message"))[:300]
    if extensions.get("first") is not None:
        error["first"] = extensions["first"]
    return "error", error
