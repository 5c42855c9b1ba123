"""Follows what happens to the cases of a workflow, over GraphQL's graphql-transport-ws.

usage: follow.py URL WORKFLOW [FROM_SEQUENCE [COUNT]]
       follow.py http://127.0.0.1:4000/graphql order-approval 1

Prints one JSON document a line, from the log sequence FROM_SEQUENCE on (1, the beginning,
where absent), until COUNT of them or Ctrl-C. When the connection breaks it connects again
and goes on after the last event it has seen: none is lost, and none comes twice.
"""

import asyncio, json, sys

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportError, TransportQueryError
from gql.transport.websockets import WebsocketsTransport

WORKFLOW = "query ($workflow: ID!) { workflow(id: $workflow) { name version } }"
EVENTS = """subscription ($workflow: ID!, $from: Sequence) {
  workflowEvents(workflowId: $workflow, fromSequence: $from) {
    sequence kind caseId transitionId by status marking { tokenId placeId }
  }
}"""


async def events(url, workflow, start):
    """Every event from the sequence `start` on, across broken connections."""
    url = url.replace("http", "ws", 1)
    while True:
        transport = WebsocketsTransport(url, subprotocols=["graphql-transport-ws"])
        try:
            async with Client(transport=transport) as session:
                query = GraphQLRequest(WORKFLOW, variable_values={"workflow": workflow})
                print("following", await session.execute(query), file=sys.stderr)
                variables = {"workflow": workflow, "from": str(start)}
                follow = GraphQLRequest(EVENTS, variable_values=variables)
                async for answer in session.subscribe(follow):
                    event = answer["workflowEvents"]
                    start = int(event["sequence"]) + 1
                    yield event
        except TransportQueryError as error:
            if not error.errors[0]["extensions"]["retryable"]:
                sys.exit(f"refused: {error.errors[0]['message']}")
        except (TransportError, OSError) as error:
            print(f"lost ({error!r}), going on from {start}", file=sys.stderr)
        await asyncio.sleep(0.2)


async def main(url, workflow, start="1", count="0"):
    left = int(count)
    async for event in events(url, workflow, int(start)):
        print(json.dumps(event), flush=True)
        left -= 1
        if left == 0:
            return


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        pass
