/** Draws the nodes of a run in layers, by hand: a node stands right of everything it needs. */
const svgSpace = 'http://www.w3.org/2000/svg';
const box = { width: 200, height: 52, gapX: 64, gapY: 18 };

const tones = {
  succeeded: 'good',
  failed: 'bad',
  aborted: 'bad',
  cancelled: 'bad',
  running: 'busy',
  retrying: 'busy',
  waitingForApproval: 'wait',
};
const marks = {
  succeeded: '✔',
  failed: '✖',
  aborted: '✖',
  cancelled: '✖',
  running: '●',
  retrying: '↻',
  waitingForApproval: '◷',
  skipped: '⊘',
  pending: '◌',
};

/** What a rollback did to the node after its own part; null when it did nothing. */
function describeTakingBack({ takenBack }) {
  if (!takenBack) return null;
  switch (takenBack.status) {
    case 'succeeded':
      return takenBack.action === 'destroy' ? 'taken down again' : 'restored';
    case 'failed':
    case 'aborted':
    case 'cancelled':
    case 'skipped':
      return 'not taken back';
    case 'waitingForApproval':
      return 'taking back waits for approval';
    default:
      return 'taking back';
  }
}

const takingBackTones = { succeeded: 'wait', failed: 'bad', aborted: 'bad', cancelled: 'bad', skipped: 'bad' };
const toneOf = (node) =>
  (node.takenBack ? (takingBackTones[node.takenBack.status] ?? 'busy') : tones[node.status]) ?? '';

export function describeNode(node) {
  const takingBack = describeTakingBack(node);
  if (takingBack !== null) return `↩ ${takingBack}`;
  const name = { waitingForApproval: 'waits for approval' }[node.status] ?? node.status;
  const parts = [`${marks[node.status] ?? ''} ${name}`];
  if (node.status === 'running' && node.stage) parts.push(node.stage);
  if (node.progress) parts.push(node.progress);
  else if (node.counts) parts.push(`+${node.counts.add} ~${node.counts.change} -${node.counts.destroy}`);
  return parts.join(' · ');
}

function create(name, attributes, ...children) {
  const element = document.createElementNS(svgSpace, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Layer of each alias: one right of the last that it needs. What is part of a cycle, which no run has, stays at 0. */
function layersOf(nodes) {
  const known = new Set(nodes.map((node) => node.alias));
  const neededBy = new Map(nodes.map((node) => [node.alias, []]));
  const open = new Map();
  for (const { alias, needs } of nodes) {
    const present = needs.filter((need) => known.has(need));
    open.set(alias, present.length);
    for (const need of present) neededBy.get(need).push(alias);
  }
  const layer = new Map(nodes.map((node) => [node.alias, 0]));
  const ready = nodes.filter((node) => open.get(node.alias) === 0).map((node) => node.alias);
  for (let at = 0; at < ready.length; at++) {
    for (const alias of neededBy.get(ready[at])) {
      layer.set(alias, Math.max(layer.get(alias), layer.get(ready[at]) + 1));
      open.set(alias, open.get(alias) - 1);
      if (open.get(alias) === 0) ready.push(alias);
    }
  }
  return layer;
}

function shorten(text) {
  const letters = [...text];
  return letters.length > 24 ? `${letters.slice(0, 23).join('')}…` : text;
}

/** Draws, and answers a function that shows the present state of one node. */
export function drawGraph(container, nodes, onSelect) {
  // A run that is queued knows its graph only later.
  if (nodes.length === 0) {
    container.replaceChildren();
    return () => false;
  }
  const layer = layersOf(nodes);
  const columns = [];
  for (const node of nodes) (columns[layer.get(node.alias)] ??= []).push(node);
  const place = new Map();
  columns.forEach((column, x) =>
    column.forEach((node, y) =>
      place.set(node.alias, { x: 4 + x * (box.width + box.gapX), y: 4 + y * (box.height + box.gapY) }),
    ),
  );
  const rows = Math.max(1, ...columns.map((column) => column.length));
  const width = columns.length * (box.width + box.gapX) - box.gapX + 8;
  const height = rows * (box.height + box.gapY) - box.gapY + 8;
  const svg = create('svg', { width, height, viewBox: `0 0 ${width} ${height}` });
  for (const node of nodes) {
    const to = place.get(node.alias);
    for (const need of node.needs) {
      const from = place.get(need);
      if (!from) continue;
      const [x1, y1, x2, y2] = [from.x + box.width, from.y + box.height / 2, to.x, to.y + box.height / 2];
      const middle = (x1 + x2) / 2;
      svg.append(create('path', { class: 'edge', d: `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}` }));
    }
  }
  const shown = new Map();
  for (const node of nodes) {
    const { x, y } = place.get(node.alias);
    const state = create('text', { class: 'state', x: x + 12, y: y + 40 });
    const group = create(
      'g',
      { tabindex: '0', role: 'button' },
      create('rect', { x, y, width: box.width, height: box.height, rx: 8 }),
      create('text', { x: x + 12, y: y + 21 }, shorten(node.name || node.alias)),
      state,
    );
    group.addEventListener('click', () => onSelect(node.alias));
    group.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      event.preventDefault();
      onSelect(node.alias);
    });
    svg.append(group);
    shown.set(node.alias, { group, state });
  }
  container.replaceChildren(svg);
  const update = (node) => {
    const parts = shown.get(node.alias);
    if (!parts) return false;
    const text = describeNode(node);
    parts.state.textContent = shorten(text);
    parts.group.setAttribute('class', `node ${toneOf(node)}`);
    parts.group.setAttribute('aria-label', `${node.name || node.alias}: ${text}. Open the log`);
    return true;
  };
  for (const node of nodes) update(node);
  return update;
}
