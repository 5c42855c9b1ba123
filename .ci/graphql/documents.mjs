// Random documents over the part of the schema that world.mjs has.

/** Numbers that are the same for the same seed (mulberry32). */
export function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const LEAVES = {
  Workflow: 'id workflowId name description version sequence initialPlace metadata repeated',
  Place: 'id placeId name description capacity kind',
  Transition: 'id transitionId name description fromPlaces toPlace conditions output',
  Case: 'id caseId workflowId definitionSequence repeated status revision headHash tokensMade',
  Token: 'id tokenId workflowId caseId placeId data metadata revision historyTotal live repeated',
  TransitionEvent: 'from to transition sequence triggeredBy metadata',
  CaseConnection: '',
  InputArc: 'place weight kind',
  Node: 'id',
  Query: '',
};
const OBJECTS = {
  Workflow: [['places', 'Place'], ['transitions', 'Transition']],
  Transition: [['inputs', 'InputArc']],
  Case: [['tokens', 'Token'], ['workflow', 'Workflow'], ['history(first: 0)', 'CaseEventConnection']],
  Token: [['case', 'Case'], ['workflow', 'Workflow'], ['history', 'TransitionEvent']],
  CaseConnection: [['nodes', 'Case']],
};
const KINDS = ['Workflow', 'Case', 'Token', 'Place', 'Transition'];

/** A document and its variables. */
export function document(number, ids) {
  const next = random(number * 7919 + 1);
  const below = (n) => Math.floor(next() * n);
  const pick = (of) => of[below(of.length)];
  const fragments = [];
  const variables = {};
  const declared = new Map();

  const directive = () => {
    if (next() < 0.75) return '';
    const name = `v${below(4)}`;
    if (!declared.has(name)) {
      const fallback = pick(['', ' = true', ' = false']);
      declared.set(name, fallback ? `$${name}: Boolean${fallback}` : `$${name}: Boolean!`);
      if (!fallback || next() < 0.5) variables[name] = next() < 0.5;
    }
    // A nullable variable needs a default to be used here, and has one.
    const literal = pick(['true', 'false']);
    return ` ${pick(['@skip', '@include'])}(if: ${next() < 0.3 ? literal : `$${name}`})`;
  };
  const used = () => [...declared.keys()].map((name) => `u_${name}: __typename @skip(if: $${name})`).join(' ');
  const alias = () => (next() < 0.15 ? `${pick(['a', 'b', 'c', 'd', 'e', 'f', 'g'])}${below(40)}: ` : '');

  const rootField = () => {
    const w = pick(['X', 'Y', 'X', 'Y', 'nobody']);
    return pick([
      () => [`workflow(id: "${w}")`, 'Workflow'],
      () => [`case(workflowId: "${w}", id: "${pick(['case1', 'case2', 'case3'])}")`, 'Case'],
      () => [`cases(workflowId: "${pick(['X', 'Y', 'X', 'Y', 'X', 'Y', 'nobody'])}", first: 10)`, 'CaseConnection'],
      () => [`token(id: "${next() < 0.2 ? 'a b' : pick(ids.tokens)}")`, 'Token'],
      () => [`node(id: "${pick([...ids.nodes, 'Case.X.nobody'])}")`, 'Node'],
      () => [`nodes(ids: ["${pick(ids.nodes)}", "Case.X.nobody", "${pick(ids.nodes)}"])`, 'Node'],
    ])();
  };
  const field = (type, depth) => {
    if (type === 'Query') {
      const [text, of] = rootField();
      return `r${below(20)}: ${text}${directive()} { ${set(of, depth + 1)} }`;
    }
    if (type === 'CaseEventConnection') return '__typename';
    const leaves = LEAVES[type].split(' ').filter(Boolean);
    const objects = depth < 5 ? OBJECTS[type] ?? [] : [];
    if (objects.length && (leaves.length === 0 || next() < 0.3)) {
      const [text, of] = pick(objects);
      return `${alias()}${text}${directive()} { ${set(of, depth + 1)} }`;
    }
    return leaves.length === 0 || next() < 0.1
      ? `${alias()}__typename${directive()}`
      : `${alias()}${pick(leaves)}${directive()}`;
  };
  const set = (type, depth) => {
    const parts = [];
    for (let count = 1 + below(4); count > 0; count--) {
      const kind = type === 'Node' ? pick(KINDS) : type;
      const chance = next();
      if (type === 'Node' && chance < 0.6) parts.push(`... on ${kind}${directive()} { ${set(kind, depth + 1)} }`);
      else if (chance < 0.8 || depth > 6) parts.push(field(type, depth));
      else if (chance < 0.9) parts.push(`...${pick(['', ` on ${type}`])}${directive()} { ${set(type, depth + 1)} }`);
      else {
        const name = `f${fragments.length}`;
        fragments.push('');
        fragments[Number(name.slice(1))] = `fragment ${name} on ${type} { ${set(type, depth + 1)} }`;
        parts.push(`...${name}${directive()}`);
      }
    }
    return parts.join(' ');
  };
  const selection = set('Query', 0);
  const uses = used();
  const head = declared.size ? `query(${[...declared.values()].join(', ')})` : 'query';
  return { query: `${head} { ${selection} ${uses} } ${fragments.join(' ')}`, variables };
}
