// A server's cases as graphql-js can execute documents on them: read once, by whole queries.

/** Asks a server, and gives the whole answer. */
export async function ask(url, query, variables = {}) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  return answer.json();
}

async function data(url, query, variables) {
  const answer = await ask(url, query, variables);
  if (answer.errors) throw new Error(JSON.stringify(answer.errors));
  return answer.data;
}

/** Stores two workflows that share all short ids, and lets cases of them run. */
export async function prepare(url) {
  for (const id of ['X', 'Y']) {
    await data(url, `mutation($input: CreateWorkflowInput!) { createWorkflow(input: $input) { version } }`, {
      input: {
        id,
        name: `Twin ${id}`,
        description: id === 'X' ? 'the first' : null,
        places: [{ id: 'case1', capacity: 9 }, { id: 'b', name: 'B', kind: 'TERMINAL' }],
        initialPlace: 'case1',
        transitions: [
          { id: 'go', fromPlaces: ['case1'], toPlace: 'b', conditions: ['true'] },
          { id: 'more', inputs: [{ place: 'case1' }], outputs: [{ place: 'case1' }, { place: 'b' }] },
        ],
        metadata: { of: id, deep: [{ a: null }] },
      },
    });
    for (const caseId of ['case1', 'case2']) {
      await data(url, `mutation($w: ID!, $c: ID!) {
        createWorkflowInstance(input: {workflowId: $w, caseId: $c, initialData: {n: [1, null, {x: 1.5}]}}) { id } }`,
        { w: id, c: caseId });
    }
    await data(url, `mutation($w: ID!) {
      fireCase(input: {workflowId: $w, caseId: "case1", transitionId: "more"}) { sequence } }`, { w: id });
  }
  await data(url, `mutation { pauseCase(input: {workflowId: "Y", caseId: "case1"}) { status } }`);
}

const WORKFLOW = `__typename id workflowId name description version sequence initialPlace metadata repeated
  places { __typename id placeId name description capacity kind }
  transitions { __typename id transitionId name description fromPlaces toPlace conditions output
    inputs { __typename place weight kind } outputs { __typename place weight } }`;
const TOKEN = `__typename id tokenId workflowId caseId placeId data metadata revision historyTotal live repeated
  history { __typename from to transition sequence triggeredBy metadata }`;
const CASE = `__typename id caseId workflowId definitionSequence repeated status revision headHash tokensMade
  tokens { ${TOKEN} }
  marking { __typename sequence places { __typename placeId count tokenIds }
    entries { __typename tokenId placeId sequence } }`;

/** What the root's resolvers answer with, as the server's own answers to whole queries have it. */
export async function world(url) {
  const workflows = {}, cases = {}, tokens = {}, nodes = {};
  for (const w of ['X', 'Y']) {
    const read = await data(url, `query($w: ID!) { workflow(id: $w) { ${WORKFLOW} }
      cases(workflowId: $w) { nodes { ${CASE} } } }`, { w });
    workflows[w] = read.workflow;
    for (const one of [read.workflow, ...read.workflow.places, ...read.workflow.transitions]) nodes[one.id] = one;
    cases[w] = read.cases.nodes;
    for (const one of read.cases.nodes) {
      nodes[one.id] = one;
      one.workflow = read.workflow;
      one.history = failing;
      for (const token of one.tokens) {
        nodes[token.id] = tokens[token.tokenId] = token;
        Object.assign(token, { case: one, workflow: read.workflow });
      }
    }
  }
  const known = (of, id) => (/^[\w.-]+$/.test(id) ? of[id] ?? null : failing());
  return {
    workflow: ({ id }) => known(workflows, id),
    case: ({ workflowId, id }) => (cases[workflowId] ?? []).find((one) => one.caseId === id) ?? null,
    cases: ({ workflowId }) => ({ nodes: cases[workflowId] ?? failing() }),
    token: ({ id }) => known(tokens, id),
    node: ({ id }) => nodes[id] ?? null,
    nodes: ({ ids }) => ids.map((id) => nodes[id] ?? null),
    ids: { nodes: Object.keys(nodes), tokens: Object.keys(tokens) },
  };
}

function failing() {
  throw new Error('it fails');
}
