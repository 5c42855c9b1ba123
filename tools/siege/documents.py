"""GraphQL documents: some by the schema, some that no parser should have to read."""

import json
import random

INTROSPECTION = """{ __schema { queryType { name } mutationType { name } subscriptionType { name }
types { kind name fields { name args { name type { ...T } } type { ...T } }
inputFields { name type { ...T } } enumValues { name } possibleTypes { name } } } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } }"""

TEXTS = [
    "", "x", "w0", "w1", "c0", "c7", "big", "many", "a", "b", "go", "back", "nope", "a.b", "*", ">", "..", "\u0000",
    "\u202e", "é" * 300, "x" * 5_000, "-1", "true", "null", "2026-01-01T00:00:00Z", "P1D", "{}", "[]", "token.data.x == 1",
    "[1,2,3].all(a, [1,2,3].all(b, a < b))",
]
NUMBERS = [0, 1, 2, 10, 100, 1_000, -1, 2**31 - 1, -(2**31), 2**31, 2**53, 2**63, -(2**63), 2**64, 1e308, 0.5]


class Schema:
    """What introspection tells, and random documents by it."""

    def __init__(self, answer):
        schema = answer["data"]["__schema"]
        self.types = {kind["name"]: kind for kind in schema["types"]}
        self.roots = {
            "query": schema["queryType"]["name"],
            "mutation": schema["mutationType"]["name"],
            "subscription": schema["subscriptionType"]["name"],
        }

    def document(self, rng, kind):
        fields = []
        for number in range(1 if kind == "subscription" else rng.choice([1, 1, 1, 2, 5, 40])):
            fields.append(f"f{number}: " + self.field(rng, self.roots[kind], rng.randint(1, 5)))
        return kind + " { " + " ".join(fields) + " }"

    def field(self, rng, parent, depth):
        field = rng.choice(self.types[parent]["fields"])
        return self.one(rng, field, depth)

    def one(self, rng, field, depth):
        args = [f"{arg['name']}: {self.value(rng, arg['type'], 3)}" for arg in field["args"] if self.is_given(rng, arg)]
        text = field["name"] + ("(" + ", ".join(args) + ")" if args else "")
        return text + self.selection(rng, inner(field["type"]), depth)

    def selection(self, rng, kind, depth):
        kind = self.types[kind["name"]]
        if kind["kind"] in ("SCALAR", "ENUM"):
            return ""
        if depth <= 0 or not kind["fields"]:
            return " { __typename }"
        chosen = rng.sample(kind["fields"], min(len(kind["fields"]), rng.randint(1, 4)))
        parts = ["__typename"]
        for number, field in enumerate(chosen):
            for again in range(rng.choice([1, 1, 1, 1, 1, 30])):
                parts.append(f"a{number}_{again}: " + self.one(rng, field, depth - 1))
        return " { " + " ".join(parts) + " }"

    def is_given(self, rng, arg):
        return arg["type"]["kind"] == "NON_NULL" or rng.random() < 0.4

    def value(self, rng, kind, depth):
        if rng.random() < 0.03:
            return rng.choice(["null", "[[]]", "{}", "$nope", '"x"', "1"])
        if kind["kind"] == "NON_NULL":
            return self.value(rng, kind["ofType"], depth)
        if kind["kind"] == "LIST":
            return "[" + ", ".join(self.value(rng, kind["ofType"], depth) for _ in range(rng.choice([0, 1, 1, 2, 50]))) + "]"
        known = self.types.get(kind["name"])
        if known and known["kind"] == "ENUM":
            return rng.choice([value["name"] for value in known["enumValues"]] + ["NOPE"])
        if known and known["kind"] == "INPUT_OBJECT":
            if depth <= 0:
                return "{}"
            fields = [field for field in known["inputFields"] if self.is_given(rng, field)]
            return "{" + ", ".join(f"{f['name']}: {self.value(rng, f['type'], depth - 1)}" for f in fields) + "}"
        if kind["name"] in ("Int", "Float"):
            return json.dumps(rng.choice(NUMBERS))
        if kind["name"] == "Boolean":
            return rng.choice(["true", "false"])
        if kind["name"].upper() == "JSON":
            return rng.choice(["{}", "{a: 1}", "[1, 2]", "null", deep("{a: ", "1", "}", rng.choice([1, 50, 130, 3_000]))])
        return json.dumps(rng.choice(TEXTS))


def inner(kind):
    while kind.get("ofType"):
        kind = kind["ofType"]
    return kind


def deep(left, middle, right, levels):
    return left * levels + middle + right * levels


def monster(rng):
    """A document that costs its reader more than its writer."""
    many = rng.choice([10, 100, 1_000, 20_000])
    return rng.choice(MONSTERS)(many, rng)


def fragments(many, rng):
    depth, count = rng.choice([(60, 140), (1, many), (20, 50)])
    text = "{...f0}"
    text += "".join(f"fragment f{n} on Query{{" + "...{" * depth + f"...f{n + 1}" + "}" * depth + "}" for n in range(count))
    return text + f"fragment f{count} on Query{{__typename}}"


def doubling(many, rng):
    count = min(many, 60)
    text = "{...f0}" + "".join(f"fragment f{n} on Query{{...f{n + 1} ...f{n + 1}}}" for n in range(count))
    return text + f"fragment f{count} on Query{{__typename}}"


MONSTERS = [
    fragments,
    doubling,
    lambda many, rng: deep("{a", "", "}", many),
    lambda many, rng: "{a(x:" + deep("[", "", "]", many) + ")}",
    lambda many, rng: "{a(x:" + deep("{x:", "1", "}", many) + ")}",
    lambda many, rng: "query($v: " + deep("[", "Int", "]", many) + "){__typename}",
    lambda many, rng: "{" + " ".join(f"a{n}:__typename" for n in range(many)) + "}",
    lambda many, rng: "{" + "__typename " * many + "}",
    lambda many, rng: "{__typename " + "@include(if:true) " * many + "}",
    lambda many, rng: "query(" + ",".join(f"$v{n}:Int" for n in range(many)) + "){__typename}",
    lambda many, rng: '{token(id:"big-token"){' + " ".join(f"a{n}:data" for n in range(min(many, 2_000))) + "}}",
    lambda many, rng: '{tokens(workflowId:"w0",first:1000){nodes{' + " ".join(f"a{n}:natsTimestamp" for n in range(100)) + "}}}",
    lambda many, rng: '{cases(workflowId:"w0",first:300){nodes{tokens{' + " ".join(f"a{n}:natsTimestamp" for n in range(100)) + "}}}}",
    lambda many, rng: "{" + " ".join(f'a{n}:token(id:"unknown-{n}-{rng.random()}"){{id}}' for n in range(min(many, 1_000))) + "}",
    lambda many, rng: "{" + " ".join(f'a{n}:explain(workflowId:"w2",caseId:"guarded"){{__typename}}' for n in range(min(many, 200))) + "}",
    lambda many, rng: "mutation{" + " ".join(f'a{n}:fireCase(input:{{workflowId:"w0",caseId:"c{n % 20}",transitionId:"go"}}){{__typename}}' for n in range(min(many, 500))) + "}",
    lambda many, rng: "{__schema{types{fields{type{fields{type{fields{type{fields{type{name}}}}}}}}}}}",
    lambda many, rng: '"""' + "x" * many * 10,
    lambda many, rng: '{a(x:"' + "\\u0041" * many + '")}',
    lambda many, rng: "#" * many * 10 + "\n{__typename}",
    lambda many, rng: "," * many * 10 + "{__typename}",
    lambda many, rng: "fragment a on Query{...b}fragment b on Query{...a}{...a}",
]


def garbage(rng, schema):
    """A request's document, of any kind."""
    dice = rng.random()
    if dice < 0.45:
        return schema.document(rng, rng.choice(["query", "query", "mutation", "subscription"]))
    if dice < 0.75:
        return monster(rng)
    text = schema.document(rng, rng.choice(["query", "mutation"]))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(["{", "}", "(", '"', "...", "$", "@", "\u0000", "é", "1e999", "null"]) + text[at + rng.randint(0, 3) :]
    return text


def body(rng, schema):
    """A POST's bytes."""
    query = garbage(rng, schema)
    variables = rng.choice([None, {}, {"v": 1}, {"v": [[[]]]}, [], "x"])
    if rng.random() < 0.08:
        levels = rng.choice([100, 1_000, 100_000])
        return (json.dumps({"query": "query($v:JSON){__typename}"})[:-1] + ',"variables":{"v":' + deep("[", "", "]", levels) + "}}").encode()
    whole = {"query": query}
    if variables is not None:
        whole["variables"] = variables
    if rng.random() < 0.1:
        whole["operationName"] = rng.choice(TEXTS)
    if rng.random() < 0.05:
        whole = [whole] * rng.choice([1, 2, 1_000])
    data = json.dumps(whole).encode("utf-8", "surrogatepass")
    if rng.random() < 0.1:
        data = data[: rng.randrange(len(data) + 1)]
    if rng.random() < 0.05:
        data = random.Random(rng.random()).randbytes(rng.choice([0, 1, 100, 100_000]))
    return data
