"""Every message of both streams, as the server has them, in a file: one JSON object a line."""

import asyncio
import base64
import gzip
import json

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

STREAMS = ("CB_LOG", "CB_MARKING")
BATCH = 500


async def dump(urls, path):
    connection = await nats.connect(urls.split(","), connect_timeout=5)
    try:
        jetstream = connection.jetstream(timeout=20)
        with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
            for stream in STREAMS:
                await dump_stream(jetstream, stream, file)
    finally:
        await connection.close()


async def dump_stream(jetstream, stream, file):
    """A stream up to what it ends with now. Of the log, one message less than there are is an error."""
    state = (await jetstream.stream_info(stream)).state
    if state.messages == 0:
        return
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL, inactive_threshold=300, mem_storage=True
    )
    subscription = await jetstream.pull_subscribe("", stream=stream, config=config)
    last = count = silent = 0
    pending = 1
    while pending and last < state.last_seq and silent < 10:
        try:
            messages = await subscription.fetch(BATCH, timeout=3)
        except (nats.errors.TimeoutError, asyncio.TimeoutError):
            silent += 1
            continue
        for message in messages:
            meta = message.metadata
            if meta.sequence.stream <= last:
                raise SystemExit(f"{stream}: {meta.sequence.stream} came after {last}")
            last, count, pending = meta.sequence.stream, count + 1, meta.num_pending
            entry = {"s": stream, "q": last, "subj": message.subject, "ts": meta.timestamp.timestamp()}
            file.write(line({**entry, "h": dict(message.headers or {}), "d": message.data}))
    await subscription.unsubscribe()
    if stream == "CB_LOG" and count != state.messages:
        raise SystemExit(f"{stream}: the server counts {state.messages} messages and delivered {count}")


def line(message):
    """A message as a line; what is no text is written as base64."""
    data = message["d"]
    try:
        fields = {**message, "d": data.decode("utf-8")}
    except UnicodeDecodeError:
        fields = {**message, "d": base64.b64encode(data).decode(), "base64": True}
    return json.dumps(fields, separators=(",", ":")) + "\n"


def load(path):
    """The messages of a dump, one after the other."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for text in lines:
            message = json.loads(text)
            data = message["d"]
            message["d"] = base64.b64decode(data) if message.pop("base64", False) else data.encode("utf-8")
            yield message
