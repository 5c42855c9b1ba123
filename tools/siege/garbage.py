"""Those who attack: over HTTP, over websockets, over NATS."""

import asyncio
import json
import random
import time

import nats
import websockets

import documents


async def attack_http(world, schema, rng, until, counts):
    while time.monotonic() < until:
        name, attack = rng.choice(HTTP)
        try:
            status = await asyncio.wait_for(attack(world, schema, rng), 15)
            counts[f"http {name}: {status}"] += 1
        except Exception as error:
            counts[f"http {name}: {type(error).__name__}"] += 1
        await asyncio.sleep(0)


async def raw(world, data, patience=5.0, piece=None, pause=0.0):
    """Sends bytes and reads the beginning of what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    try:
        step = piece or len(data) or 1
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
        answer = await asyncio.wait_for(reader.read(200), patience)
        parts = answer.split()
        return parts[1].decode(errors="replace") if len(parts) > 1 else "closed"
    except asyncio.TimeoutError:
        return "silent"
    finally:
        writer.transport.abort()


def request(data, *headers, method="POST", path="/graphql", length=None):
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "content-type: application/json"]
    lines += [f"content-length: {len(data) if length is None else length}", *headers]
    return "\r\n".join(lines).encode("utf-8", "surrogatepass") + b"\r\n\r\n" + data


async def documents_by_post(world, schema, rng):
    return await raw(world, request(documents.body(rng, schema)), 14)


async def documents_by_get(world, schema, rng):
    from urllib.parse import quote

    query = quote(documents.garbage(rng, schema)[:60_000])
    return await raw(world, request(b"", method="GET", path=f"/graphql?query={query}"), 14)


async def left_early(world, schema, rng):
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(request(documents.body(rng, schema)))
    await asyncio.sleep(rng.random() / 20)
    writer.transport.abort()
    return "left"


async def noise(world, schema, rng):
    return await raw(world, rng.randbytes(rng.choice([1, 100, 70_000])), 1)


async def headers(world, schema, rng):
    many = [f"x-{n}: " + "y" * rng.choice([1, 100]) for n in range(rng.choice([1, 90, 2_000]))]
    many += [rng.choice(["content-length: 5", "transfer-encoding: chunked", "expect: 100-continue", "origin: http://evil.example", "upgrade: h2c", "content-encoding: gzip", "accept: " + "a/b;q=0.5," * 2_000])]
    return await raw(world, request(b'{"query":"{__typename}"}', *many), 5)


async def lengths(world, schema, rng):
    return await raw(world, request(b"{}", length=rng.choice([0, 1, 10, 10**9, 10**30, -1])), 1)


async def trickle(world, schema, rng):
    return await raw(world, request(b'{"query":"{__typename}"}'), 2, piece=1, pause=0.02)


async def idle(world, schema, rng):
    held = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(rng.choice([1, 50, 200]))]
    await asyncio.sleep(rng.random() * 3)
    for _, writer in held:
        writer.transport.abort()
    return "left"


async def never_reads(world, schema, rng):
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    query = '{tokens(workflowId:"w0",first:1000){nodes{id data natsSubject}}}'
    for _ in range(20):
        writer.write(request(json.dumps({"query": query}).encode()))
    await asyncio.sleep(rng.random() * 3)
    writer.transport.abort()
    return "left"


async def large(world, schema, rng):
    data = b'{"query":"{__typename}","variables":{"v":"' + b"x" * rng.choice([10**6, 10**7]) + b'"}}'
    return await raw(world, request(data), 5)


HTTP = [
    ("document", documents_by_post), ("document", documents_by_post), ("document", documents_by_post),
    ("document by GET", documents_by_get), ("left early", left_early), ("noise", noise), ("headers", headers),
    ("lengths", lengths), ("trickle", trickle), ("idle", idle), ("never reads", never_reads), ("large", large),
]


async def attack_websocket(world, schema, rng, until, counts):
    while time.monotonic() < until:
        try:
            await asyncio.wait_for(one_socket(world, schema, rng, counts), 15)
            counts["websocket: closed"] += 1
        except Exception as error:
            counts[f"websocket: {type(error).__name__}"] += 1
        await asyncio.sleep(0)


async def one_socket(world, schema, rng, counts):
    protocol = rng.choice(["graphql-transport-ws"] * 4 + ["graphql-ws", "nope"])
    address = f"ws://127.0.0.1:{world.port}/graphql"
    async with websockets.connect(address, subprotocols=[protocol], max_size=None, ping_interval=None) as socket:
        if rng.random() < 0.9:
            await socket.send(json.dumps({"type": "connection_init", "payload": rng.choice([{}, None, {"x": "y" * 1_000}])}))
        for number in range(rng.choice([1, 20, 300])):
            await socket.send(frame(rng, schema, number))
            counts["websocket: frames"] += 1
        if rng.random() < 0.5:
            async with asyncio.timeout(rng.random()):
                async for _ in socket:
                    counts["websocket: answers"] += 1


def frame(rng, schema, number):
    dice = rng.random()
    if dice < 0.6:
        query = documents.garbage(rng, schema)
        return json.dumps({"id": str(number % 50), "type": "subscribe", "payload": {"query": query}})
    if dice < 0.75:
        live = rng.choice(['subscription{tokenUpdates(workflowId:"w0"){__typename}}', 'subscription{workflowEvents(workflowId:"w0"){__typename}}'])
        return json.dumps({"id": f"s{number}", "type": "subscribe", "payload": {"query": live}})
    if dice < 0.85:
        return rng.choice(['{"type":"ping"}', '{"type":"pong"}', '{"type":"complete","id":"1"}', '{"type":"connection_init"}', "{", "", "[]", '{"type":1}'])
    if dice < 0.95:
        return rng.randbytes(rng.choice([0, 1, 1_000, 200_000]))
    return "[" * rng.choice([100, 100_000])


async def attack_nats(world, schema, rng, until, counts):
    client = await nats.connect(world.nats_url, max_reconnect_attempts=-1)
    words = ["workflows", "w0", "w1", "nope", "places", "a", "tokens", "big", "definition", "events", "transitions", "lifecycle", "c0", "c1", "x" * 200, "é"]
    payloads = [b"", b"{}", b"[]", b"null", b'{"format":1}', b'{"format":99,"kind":"fired"}', b"[" * 100_000, b'{"a":' * 5_000]
    known = [
        "cb.workflows.w0.places.a.tokens.{}", "cb.workflows.w0.events.transitions.{}", "cb.workflows.w0.events.lifecycle.{}",
        "cb.workflows.{}.definition", "cb.workflows.w0.events.{}.c0", "cb.workflows.{}.places.a.tokens.x",
    ]
    while time.monotonic() < until:
        subject = rng.choice(known).format(f"n{rng.randrange(500)}") if rng.random() < 0.7 else ".".join(["cb"] + rng.choices(words, k=rng.randint(1, 7)))
        payload = rng.choice(payloads + [rng.randbytes(rng.choice([1, 50, 10_000]))])
        headers = {"Petrel-Format": rng.choice(["1", "x", "9"]), "Petrel-Case": rng.choice(["c0", "", "é", "x" * 500])} if rng.random() < 0.5 else None
        try:
            await client.publish(subject, payload, headers=headers)
            await client.flush()
            counts["nats: published"] += 1
        except Exception as error:
            counts[f"nats: {type(error).__name__}"] += 1
        await asyncio.sleep(0.02)
    await client.close()
