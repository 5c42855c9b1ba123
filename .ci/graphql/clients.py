"""Checks that Python's gql, with its defaults, takes what petrel serves.

usage: python3 clients.py URL    (of a server with the cases of world.mjs)
"""

import asyncio
import sys

from gql import Client, gql
from gql.dsl import DSLQuery, DSLSchema, dsl_gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.requests import RequestsHTTPTransport
from gql.transport.websockets import WebsocketsTransport

url = sys.argv[1]
create = """mutation ($case: ID!, $data: JSON) {
  createWorkflowInstance(input: {workflowId: "X", caseId: $case, initialData: $data}) { caseId data }
}"""
data = {"n": [1, None, {"x": 1.5}], "größe": "ß"}


def refused(error, code):
    assert error.errors[0]["extensions"]["code"] == code, error.errors


def over_http():
    """Fetches the schema, builds a query from it, and writes with variables."""
    with Client(transport=RequestsHTTPTransport(url=url), fetch_schema_from_transport=True) as session:
        schema = DSLSchema(session.client.schema)
        query = schema.Query.case(workflowId="X", id="case1")
        answer = session.execute(dsl_gql(DSLQuery(query.select(schema.Case.workflowId, schema.Case.status))))
        assert answer == {"case": {"workflowId": "X", "status": "RUNNING"}}, answer
        answer = session.execute(gql(create), variable_values={"case": "python", "data": data})
        assert answer["createWorkflowInstance"] == {"caseId": "python", "data": data}, answer
        try:
            session.execute(gql(create), variable_values={"case": "python", "data": {}})
            raise AssertionError("one id was taken for two requests")
        except TransportQueryError as error:
            refused(error, "CONFLICT")


async def side_by_side():
    """Asks for many things at a time over HTTP, and follows a case over a websocket."""
    async with Client(transport=AIOHTTPTransport(url=url), fetch_schema_from_transport=True) as session:
        query = gql("query ($id: ID!) { workflow(id: $id) { workflowId places { placeId } } }")
        ids = ["X", "Y"] * 20
        answers = await asyncio.gather(*(session.execute(query, variable_values={"id": id}) for id in ids))
        assert [answer["workflow"]["workflowId"] for answer in answers] == ids, answers
    socket = WebsocketsTransport(url=url.replace("http", "ws", 1))
    async with Client(transport=socket, fetch_schema_from_transport=True) as session:
        answer = await session.execute(gql(create), variable_values={"case": "socket", "data": data})
        assert answer["createWorkflowInstance"]["data"] == data, answer
        follow = gql(
            """subscription ($from: Sequence) {
              caseEvents(workflowId: "X", caseId: "case1", fromSequence: $from) { kind sequence }
            }"""
        )
        kinds = []
        async for event in session.subscribe(follow, variable_values={"from": "0"}):
            kinds.append(event["caseEvents"]["kind"])
            if len(kinds) == 2:
                break
        assert kinds == ["CREATED", "FIRED"], kinds
        try:
            async for _ in session.subscribe(gql('subscription { workflowEvents(workflowId: "Z") { kind } }')):
                raise AssertionError("there is no workflow Z")
        except TransportQueryError as error:
            refused(error, "NOT_FOUND")


over_http()
asyncio.run(side_by_side())
print("gql: requests, aiohttp and websockets")
