import { ApiError, follow, forgetKey, get, getText, keepKey, readKey } from './client.js';
import { describeNode, drawGraph } from './graph.js';

const by = (id) => document.getElementById(id);
/** Larger graphs are shown as a list: nobody reads a drawing of a thousand boxes. */
const largestDrawing = 300;

const environmentWords = {
  neverDeployed: ['never deployed', ''],
  deployInProgress: ['deploy in progress', 'busy'],
  destroyInProgress: ['destroy in progress', 'busy'],
  active: ['active', 'good'],
  partlyDeployed: ['partly deployed', 'wait'],
  inactive: ['inactive', ''],
  failed: ['failed', 'bad'],
};
const runWords = { rollbackFailed: 'rollback failed', rolledBack: 'rolled back', rollingBack: 'rolling back' };
const runTones = {
  succeeded: 'good',
  failed: 'bad',
  cancelled: 'bad',
  aborted: 'bad',
  rollbackFailed: 'bad',
  rolledBack: 'wait',
  running: 'busy',
  stopping: 'busy',
  rollingBack: 'busy',
};

const state = { environments: new Map(), selected: null, next: null, run: null };

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function notice(error) {
  by('notice').hidden = !error;
  by('notice').textContent = error ? [error.message, error.hint].filter(Boolean).join('. ') : '';
  if (error instanceof ApiError && error.status === 401) {
    forgetKey();
    showSignIn();
  }
}

function flagsOf(environment) {
  const { flags } = environment;
  const words = [];
  if (flags.waitingForApproval) words.push(`◷ ${flags.waitingForApproval} waiting for approval`);
  if (flags.queued) words.push(`${flags.queued} queued`);
  if (flags.drift === 'drifted') words.push('drifted');
  if (flags.lock) words.push(`locked by ${flags.lock.by}`);
  if (flags.stateUnverified) words.push('state unverified');
  if (environment.expiresAt) words.push(`until ${new Date(environment.expiresAt).toLocaleString()}`);
  return words.join(' · ');
}

function showEnvironments() {
  const cards = [...state.environments.values()].map((environment) => {
    const [word, tone] = environmentWords[environment.status] ?? [environment.status, ''];
    const button = element(
      'button',
      { type: 'button' },
      element('strong', { textContent: environment.name }),
      element('span', { className: `badge ${tone}`, textContent: word }),
      element('span', { className: 'muted', textContent: flagsOf(environment) || environment.templateName || '' }),
    );
    button.setAttribute('aria-pressed', String(environment.id === state.selected));
    button.addEventListener('click', () => select(environment.id));
    return element('li', {}, button);
  });
  by('list').replaceChildren(...cards);
  by('empty').hidden = cards.length > 0;
  by('more').hidden = state.next === null;
}

async function loadEnvironments(cursor) {
  const query = new URLSearchParams({ limit: '60', ...(cursor ? { cursor } : {}) });
  const page = await get(`/environments?${query}`);
  for (const environment of page.items) state.environments.set(environment.id, environment);
  state.next = page.next;
  showEnvironments();
}

async function select(id) {
  state.selected = id;
  showEnvironments();
  state.run?.abort();
  const controller = new AbortController();
  state.run = controller;
  try {
    await Promise.all([followEnvironment(id, controller.signal), showLatest(id, controller)]);
    notice(null);
  } catch (error) {
    if (!controller.signal.aborted) notice(error);
  }
}

/** Keeps the card of an environment true, and goes over to a new run when one begins. */
async function followEnvironment(id, signal) {
  await follow(`/environments/${id}/events`, {
    signal,
    onEvent: ({ event, data }) => {
      if (event === 'snapshot') state.environments.set(id, data.environment);
      else if (event === 'environment.status' || event === 'deployment.status') {
        void get(`/environments/${id}`).then((fresh) => {
          state.environments.set(id, fresh);
          showEnvironments();
        }, notice);
        const begun = data.data?.status === 'running' && data.deploymentId && data.deploymentId !== state.deployment;
        if (begun && data.environmentId === id) void select(id);
      }
      showEnvironments();
    },
  });
}

async function showLatest(id, controller) {
  const { signal } = controller;
  const page = await get(`/environments/${id}/deployments?limit=1`, { signal });
  const latest = page.items[0];
  by('run').hidden = false;
  by('log-box').hidden = true;
  if (!latest) {
    state.deployment = null;
    by('run-title').textContent = state.environments.get(id).name;
    by('run-status').hidden = true;
    by('run-temporal').hidden = true;
    by('run-error').hidden = true;
    by('run-summary').textContent = `Never deployed. Deploy it: windlass deploy "${state.environments.get(id).name}"`;
    by('graph').replaceChildren();
    return;
  }
  state.deployment = latest.id;
  const nodes = new Map();
  let update = null;
  const redraw = () => {
    const forward = [...nodes.values()];
    if (forward.length > largestDrawing) update = drawList(forward);
    else update = drawGraph(by('graph'), forward, (alias) => void openLog(latest.id, alias));
  };
  await follow(`/deployments/${latest.id}/events`, {
    signal,
    onCut: () => (by('run-summary').textContent = 'The server is away; this page comes back by itself.'),
    onEvent: ({ event, data }) => {
      if (event === 'snapshot') {
        nodes.clear();
        takeNodes(nodes, data.nodes);
        showRun(data.deployment, nodes);
        redraw();
        return;
      }
      if (event === 'end') {
        void get(`/deployments/${latest.id}`).then((run) => showRun(run, nodes), notice);
        return;
      }
      const node = nodes.get(data.alias);
      if (event === 'progress' && node) node.progress = data.progress;
      else if (event === 'node.status' && node && data.data.compensation) {
        if (node.takenBack) node.takenBack.status = data.data.status ?? node.takenBack.status;
        else void refreshNodes(latest.id, nodes, redraw);
      } else if (event === 'node.status' && node) {
        Object.assign(node, {
          status: data.data.status ?? node.status,
          progress: null,
          counts: data.data.counts ?? node.counts,
        });
      } else if (event === 'node.stage' && node && !data.data.compensation)
        Object.assign(node, { stage: data.data.stage, progress: null });
      else if (event === 'deployment.status')
        void get(`/deployments/${latest.id}`).then((run) => showRun(run, nodes), notice);
      if (node) update?.(node);
      else if (event === 'node.status') void refreshNodes(latest.id, nodes, redraw);
    },
  });
}

/** A node that a rollback takes back is shown where it stands, with what became of it last. */
function takeNodes(nodes, items) {
  for (const node of items) if (!node.compensation) nodes.set(node.alias, node);
  for (const { compensation, alias, status, action } of items) {
    const node = nodes.get(alias);
    if (compensation && node) node.takenBack = { status, action };
  }
}

/** Nodes that came after the snapshot: the run was queued then, and knew its graph only later. */
let refreshing = null;
function refreshNodes(id, nodes, redraw) {
  refreshing ??= get(`/deployments/${id}/nodes?limit=10000`)
    .then((page) => {
      takeNodes(nodes, page.items);
      redraw();
    })
    .finally(() => (refreshing = null));
  return refreshing;
}

function drawList(nodes) {
  const lines = new Map();
  const list = element('ul');
  for (const node of nodes) {
    const line = element('li', { textContent: `${node.alias}: ${describeNode(node)}` });
    lines.set(node.alias, line);
    list.append(line);
  }
  by('graph').replaceChildren(list);
  return (node) => {
    const line = lines.get(node.alias);
    if (line) line.textContent = `${node.alias}: ${describeNode(node)}`;
  };
}

function showRun(run, nodes) {
  by('run-title').textContent = `${run.environmentName} · ${run.type} #${run.number}`;
  by('run-status').hidden = false;
  by('run-status').textContent = runWords[run.status] ?? run.status;
  by('run-status').className = `badge ${runTones[run.status] ?? ''}`;
  by('run-temporal').hidden = !run.temporalUrl;
  if (run.temporalUrl) by('run-temporal').href = run.temporalUrl;
  const { counts } = run;
  const parts = [
    `${counts.succeeded} of ${counts.total || nodes.size} done`,
    counts.running && `${counts.running} running`,
    counts.failed && `${counts.failed} failed`,
    counts.skipped && `${counts.skipped} skipped`,
    `asked by ${run.requestedBy}`,
  ];
  by('run-summary').textContent = parts.filter(Boolean).join(' · ');
  by('run-error').hidden = !run.error;
  by('run-error').textContent = run.error ? [run.error.message, run.error.hint].filter(Boolean).join('. ') : '';
}

async function openLog(deploymentId, alias) {
  by('log-box').hidden = false;
  by('log-box').open = true;
  by('log-node').textContent = alias;
  by('log').textContent = '…';
  try {
    const query = new URLSearchParams({ node: alias, format: 'text' });
    by('log').textContent = (await getText(`/deployments/${deploymentId}/logs?${query}`)) || 'Nothing was logged yet.';
  } catch (error) {
    by('log').textContent = error.message;
  }
}

async function showHealth() {
  try {
    const { checks } = await (await fetch('/readyz')).json();
    by('health').replaceChildren(
      ...checks.map((check) =>
        element('li', {
          className: check.ok ? '' : 'down',
          textContent: check.ok ? check.name : `${check.name}: ${check.reason}`,
        }),
      ),
    );
  } catch {
    by('health').replaceChildren(element('li', { className: 'down', textContent: 'the server does not answer' }));
  }
}

function showSignIn() {
  by('sign-in').hidden = false;
  by('environments').hidden = true;
  by('run').hidden = true;
  by('forget').hidden = true;
  by('key').focus();
}

async function open() {
  try {
    const about = await get('/version');
    by('version').textContent = about.version;
    by('temporal').hidden = !about.temporalUiUrl;
    if (about.temporalUiUrl) by('temporal').href = about.temporalUiUrl;
    await loadEnvironments();
    notice(null);
    by('sign-in').hidden = true;
    by('forget').hidden = false;
    by('environments').hidden = false;
    const first = state.environments.values().next().value;
    if (first) await select(first.id);
  } catch (error) {
    notice(error);
  }
}

by('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  keepKey(by('key').value.trim());
  by('key').value = '';
  void open();
});
by('forget').addEventListener('click', () => {
  forgetKey();
  location.reload();
});
by('more').addEventListener('click', () => void loadEnvironments(state.next).catch(notice));

void showHealth();
setInterval(showHealth, 15_000);
if (readKey()) void open();
else showSignIn();
