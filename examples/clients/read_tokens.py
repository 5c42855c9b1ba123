"""Reads live tokens straight from NATS, without Storm Petrel in between.

usage: read_tokens.py NATS_URL token WORKFLOW TOKEN   one token, wherever it is
       read_tokens.py NATS_URL list  WORKFLOW PLACE   the tokens of a place
       read_tokens.py NATS_URL watch WORKFLOW PLACE   the same, then every change, until Ctrl-C

Prints one JSON document a line. Never writes and never acknowledges anything.
"""

import asyncio, json, sys

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

STREAM = "CB_MARKING"


async def token(nc, workflow, token):
    """One direct get: the last message of this token across all places."""
    subject = f"cb.workflows.{workflow}.places.*.tokens.{token}"
    request = json.dumps({"last_by_subj": subject}).encode()
    message = await nc.request(f"$JS.API.DIRECT.GET.{STREAM}", request, timeout=5)
    status = (message.headers or {}).get("Status")
    if status not in (None, "404"):
        sys.exit(f"{status} {message.headers.get('Description')}")
    # An empty body is a marker: the token has left. 404: there is not even a marker.
    if not message.data:
        sys.exit(f"token {token} is not alive")
    print(json.dumps(json.loads(message.data)), flush=True)


async def place(nc, workflow, place, follow):
    """An ordered consumer: the last message of each token of the place, then what comes."""
    config = ConsumerConfig(deliver_policy=DeliverPolicy.LAST_PER_SUBJECT)
    subject = f"cb.workflows.{workflow}.places.{place}.tokens.*"
    found = await nc.jetstream().subscribe(
        subject, stream=STREAM, ordered_consumer=True, config=config
    )
    begun = await found.consumer_info()
    pending = begun.num_pending + begun.delivered.consumer_seq
    seen = set()
    while follow or pending:
        message = await found.next_msg(timeout=None)
        pending = message.metadata.num_pending
        if message.data:
            seen.add(message.subject)
            print(json.dumps(json.loads(message.data)), flush=True)
        elif message.subject in seen:
            seen.remove(message.subject)
            print(json.dumps({"left": message.subject.rpartition(".")[2]}), flush=True)


async def main(url, what, workflow, name):
    async with await nats.connect(url, max_reconnect_attempts=-1) as nc:
        if what == "token":
            await token(nc, workflow, name)
        else:
            await place(nc, workflow, name, follow=what == "watch")


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[2] not in ("token", "list", "watch"):
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
