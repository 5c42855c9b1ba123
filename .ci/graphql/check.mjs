// Whether the clients and tools of GraphQL that people use take what petrel serves.
//
// usage: [DOCUMENTS=1000] node check.mjs URL SCHEMA.graphql
import { spawnSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { tmpdir } from 'node:os';

import { ApolloClient, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { buildSchema, execute, parse, validate } from 'graphql';
import { serverAudits } from 'graphql-http';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

import { document } from './documents.mjs';
import { ask, prepare, world } from './world.mjs';

const [url, schemaFile] = process.argv.slice(2);
let failures = 0;
function must(holds, what) {
  if (holds) return;
  failures += 1;
  console.error(`FAILED: ${what}`);
}

/** Documents answered as graphql-js answers them. */
async function documents(count) {
  const schema = buildSchema(readFileSync(schemaFile, 'utf8'));
  const rootValue = await world(url);
  const seen = { refused: 0, failed: 0, whole: 0 };
  for (let number = 0; number < count; number++) {
    const { query, variables } = document(number, rootValue.ids);
    const answer = await ask(url, query, variables);
    const problems = validate(schema, parse(query));
    if (problems.length > 0) {
      seen.refused += 1;
      must(answer.data === undefined, `document ${number} is refused (${problems[0].message}): ${query}`);
      continue;
    }
    const right = await execute({ schema, document: parse(query), rootValue, variableValues: variables });
    seen[right.errors ? 'failed' : 'whole'] += 1;
    const [ours, theirs] = [JSON.stringify(answer.data), JSON.stringify(right.data)];
    must(ours === theirs, `document ${number}:\n${query}\n${JSON.stringify(variables)}\nours   ${ours} ${JSON.stringify(answer.errors)}\ntheirs ${theirs} ${right.errors}`);
    must(!answer.errors === !right.errors, `document ${number} has errors where graphql-js has: ${query}`);
  }
  console.log(`graphql-js: ${count} documents: ${JSON.stringify(seen)}`);
}

/** The audit of servers by the reference implementation of GraphQL over HTTP. */
async function audits() {
  const results = [];
  for (const audit of serverAudits({ url, fetchFn: fetch })) results.push(await audit.fn());
  const ok = results.filter((result) => result.status === 'ok').length;
  for (const result of results) {
    must(result.status === 'ok', `graphql-http ${result.id} ${result.name}: ${result.status} ${result.reason}`);
  }
  console.log(`graphql-http: ${ok} of ${results.length}`);
}

/** A cache that keeps objects by type and id, as it does by default. */
async function apollo() {
  const client = new ApolloClient({ link: new HttpLink({ uri: url }), cache: new InMemoryCache() });
  const query = gql`{
    x: case(workflowId: "X", id: "case1") { id workflowId status workflow { id name places { id name } } }
    y: case(workflowId: "Y", id: "case1") { id workflowId status workflow { id name places { id name } } }
    history(workflowId: "X", caseId: "case1") { nodes { sequence produced { id revision placeId } } }
    tokens(workflowId: "X") { nodes { id revision placeId } }
  }`;
  const { data: read } = await client.query({ query });
  const fresh = await ask(url, query.loc.source.body);
  const bare = (value) => JSON.parse(JSON.stringify(value, (key, of) => (key === '__typename' ? undefined : of)));
  const kept = bare(client.readQuery({ query }));
  must(JSON.stringify(bare(read)) === JSON.stringify(fresh.data), 'Apollo Client shows what it was answered');
  must(JSON.stringify(kept) === JSON.stringify(fresh.data), 'Apollo Client keeps what it was answered');
  client.stop();
  console.log(`Apollo Client: ${Object.keys(client.cache.extract()).length} objects kept`);
}

/** A query and a subscription over a websocket. */
async function websocket() {
  const client = createClient({ url: url.replace('http', 'ws'), webSocketImpl: WebSocket, retryAttempts: 0 });
  const follow = `subscription { ...x } fragment x on Subscription { caseEvents(workflowId: "X", caseId: "case1", fromSequence: 0) { kind sequence } }`;
  const kinds = [];
  for await (const event of client.iterate({ query: follow })) {
    kinds.push(event.data?.caseEvents?.kind);
    if (kinds.length === 2) break;
  }
  must(kinds.join() === 'CREATED,FIRED', `graphql-ws hears of events: ${kinds}`);
  const times = [];
  for (let turn = 0; turn < 20; turn++) {
    const begun = performance.now();
    for await (const answer of client.iterate({ query: '{ health { version } }' })) {
      must(typeof answer.data?.health?.version === 'string', 'graphql-ws gets answers');
    }
    times.push(performance.now() - begun);
  }
  await client.dispose();
  const median = times.sort((a, b) => a - b)[10];
  console.log(`graphql-ws: 2 events, and queries of ${median.toFixed(1)} ms`);
}

/** Fragments that are read again by the id of their object. */
function relay() {
  const folder = mkdtempSync(join(tmpdir(), 'relay-'));
  mkdirSync(join(folder, 'src'));
  writeFileSync(join(folder, 'package.json'), '{}');
  writeFileSync(join(folder, 'relay.config.json'),
    JSON.stringify({ src: './src', schema: './schema.graphql', language: 'javascript', eagerEsModules: true }));
  writeFileSync(join(folder, 'schema.graphql'), readFileSync(schemaFile));
  const of = (name, type, text) => `export const ${name} = graphql\`
    fragment ${name}_it on ${type} ${text}\`;\n`;
  const parts = [
    of('Shown', 'Case', `@refetchable(queryName: "ShownAgainQuery") { status history(first: 5) { nodes { kind } } }`),
    of('Held', 'Token', `@refetchable(queryName: "HeldAgainQuery") { placeId data }`),
    of('Drawn', 'Workflow', `@refetchable(queryName: "DrawnAgainQuery") { name version }`),
    of('Listed', 'Case', `@refetchable(queryName: "ListedAgainQuery") @argumentDefinitions(
      count: {type: "Int", defaultValue: 10} after: {type: "String"}) {
      history(first: $count, after: $after) @connection(key: "Listed_history") { edges { node { kind } } } }`),
  ];
  for (const part of parts) {
    const name = part.match(/const (\w+)/)[1];
    writeFileSync(join(folder, 'src', `${name}.js`), `import { graphql } from 'react-relay';\n${part}`);
  }
  const compiler = createRequire(import.meta.url).resolve('relay-compiler/cli.js');
  const run = spawnSync(process.execPath, [compiler], { cwd: folder, encoding: 'utf8' });
  must(run.status === 0, `relay-compiler: ${run.stdout} ${run.stderr}`);
  rmSync(folder, { recursive: true });
  console.log('relay-compiler: 4 fragments with @refetchable');
}

await prepare(url);
await audits();
await documents(Number(process.env.DOCUMENTS ?? 250));
await apollo();
await websocket();
relay();
process.exit(failures === 0 ? 0 : 1);
