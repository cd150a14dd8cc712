import type { Deployment, NodeRun, Problem, ProblemDetails, RunError } from '../../src/model/index.ts';
import type { TestServer } from './windlass.ts';

const place = ({ file, line, column, path }: Problem): string =>
  [file, line, column].filter((part) => part !== undefined).join(':') || path || '';
const listed = (problems: readonly Problem[] | undefined): string[] =>
  (problems ?? []).map((problem) => `  ${place(problem)}: ${problem.message}`);

function describe(said: { message: string; where?: string; hint?: string; problems?: readonly Problem[] }): string[] {
  const { message, where, hint, problems } = said;
  return [`${message}${where ? ` (${where})` : ''}`, ...listed(problems), ...(hint ? [`→ ${hint}`] : [])];
}

const describeProblem = ({ status, detail, hint, problems }: ProblemDetails): string =>
  describe({
    message: `${status} ${detail}`,
    ...(hint ? { hint } : {}),
    ...(problems ? { problems } : {}),
  }).join('\n');

const describeRunError = ({ where, hint, problems, ...error }: RunError): string[] =>
  describe({
    message: `${error.class}: ${error.message}`,
    ...(where ? { where } : {}),
    ...(hint ? { hint } : {}),
    ...(problems ? { problems } : {}),
  });

/** Everything a user is told about input that is wrong: what, where, and after an arrow what to do. */
export interface Told {
  /** Of a workflow file that is checked without a run. */
  file(text: string, more?: Record<string, unknown>): Promise<string>;
  /** Of a call that is refused. A string is sent as it is; a header that is null is not sent. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string | null>): Promise<string>;
  /** Of a run: its own error, then those of its nodes. */
  run(environment: string, request?: Record<string, unknown>): Promise<string>;
}

export function whatIsTold(server: TestServer): Told {
  return {
    file: async (text, more = {}) => {
      const { problems } = await server.request<{ problems: Problem[] }>('POST', '/validate', { text, ...more });
      return problems.map((problem) => `${place(problem)}: ${problem.message}`).join('\n');
    },
    call: async (method, path, body, headers = {}) => {
      const response = await fetch(`${server.url}/api/v1${path}`, {
        method,
        headers: Object.entries({
          authorization: `Bearer ${server.token}`,
          'content-type': body === undefined ? null : 'application/json',
          ...headers,
        }).flatMap(([name, value]): [string, string][] => (value === null ? [] : [[name, value]])),
        body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
      });
      if (response.status < 400) return `${response.status}: it was taken`;
      if (!response.headers.get('content-type')?.startsWith('application/problem+json')) return 'not a problem+json';
      return describeProblem((await response.json()) as ProblemDetails);
    },
    run: async (environment, request = {}) => {
      const asked = await server.raw<Deployment | ProblemDetails>(
        'POST',
        `/environments/${encodeURIComponent(environment)}/deployments`,
        request,
      );
      if ('requestId' in asked.body) return describeProblem(asked.body);
      const run: Deployment = await server.ended(asked.body.id);
      const own = run.error === null ? [] : describeRunError(run.error);
      const nodes: NodeRun[] = await server.nodes(run.id);
      const theirs = nodes.flatMap(({ alias, error }) =>
        error === null ? [] : [`[${alias}]`, ...describeRunError(error)],
      );
      return [run.status, ...own, ...theirs].join('\n');
    },
  };
}

/** Takes out what differs from one run of the test to the next. */
export function withoutChance(text: string, names: Readonly<Record<string, string>>): string {
  let plain = text;
  for (const [value, name] of Object.entries(names)) plain = plain.replaceAll(value, name);
  return plain
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
    .replace(/\b(env|prj|org|tpl|dep|key|var|apr)_[0-9a-zA-Z]+/g, '<$1>')
    .replace(/\b[0-9a-f]{40}\b/g, '<commit>')
    .replace(/ port \d+ after \d+ ms/g, ' port <port>')
    .replace(/("shop#\d+" \(<dep>\)(, )?)+/g, '<runs>');
}
