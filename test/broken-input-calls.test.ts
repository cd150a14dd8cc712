import { deployed, key, project, server, testBrokenInput, told } from './support/broken-shop.ts';
import type { Row } from './support/broken-shop.ts';

const local = (more: Record<string, unknown> = {}) => ({ kind: 'local', directory: project.directory, ...more });
const template = (more: Record<string, unknown> = {}) => ({
  name: 'broken',
  type: 'workflow',
  source: local(),
  ...more,
});
const shopRun = (body: Record<string, unknown>) => told.call('POST', '/environments/shop/deployments', body);

const calls: readonly Row[] = [
  {
    it: 'malformed JSON',
    does: () => told.call('POST', '/templates', '{"name": "x",\n "type": workflow}'),
    shows: ["400 The body is not JSON: line 2, column 10: Unexpected token 'w'", "  2:10: Unexpected token 'w'"],
  },
  {
    it: 'an empty body',
    does: () => told.call('POST', '/templates', ''),
    shows: ['400 The body is empty', '→ send a JSON object'],
  },
  {
    it: 'another content type',
    does: () => told.call('POST', '/templates', 'name: x', { 'content-type': 'application/yaml' }),
    shows: [
      '415 The content type "application/yaml" is not supported',
      '→ send JSON with the header Content-Type: application/json',
    ],
  },
  {
    it: 'a body that is too large',
    does: () => told.call('POST', '/templates', JSON.stringify({ name: 'x'.repeat(1_100_000) })),
    shows: [
      '413 The body is larger than 1 MiB',
      '→ send less at once; code belongs in a repository or a directory that a template names, not into a call',
    ],
  },
  {
    it: 'a body that is too deep',
    does: () => told.call('POST', '/templates', '['.repeat(100) + ']'.repeat(100)),
    shows: ['400 The body is nested deeper than 64 levels'],
  },
  {
    it: 'an unknown key in a body',
    does: () => shopRun({ typ: 'destroy' }),
    shows: [
      '400 The body is not valid: typ: there is no such field; did you mean "type"?',
      '  typ: there is no such field; did you mean "type"?',
      '→ the fields and their types are at /docs/api',
    ],
  },
  {
    it: 'an unknown key deep in a body',
    does: () =>
      told.call('PATCH', '/environments/shop', { settings: { schedule: { deploy: '0 7 * * *', timeZone: 'UTC' } } }),
    shows: [
      '400 The body is not valid: settings.schedule.timeZone: there is no such field; did you mean "timezone"?',
      '  settings.schedule.timeZone: there is no such field; did you mean "timezone"?',
      '→ the fields and their types are at /docs/api',
    ],
  },
  {
    it: 'an unknown key in one of several shapes',
    does: () => shopRun({ partial: { operation: 'run-from-here', nod: 'a' } }),
    shows: [
      '400 The body is not valid: partial.node: Invalid input: expected string, received undefined, and 1 more',
      '  partial.node: Invalid input: expected string, received undefined',
      '  partial.nod: there is no such field; did you mean "node"?',
      '→ the fields and their types are at /docs/api',
    ],
  },
  {
    it: 'an unknown value in a body',
    does: () => shopRun({ type: 'remove' }),
    shows: [
      '400 The body is not valid: type: Invalid option: expected one of "deploy"|"destroy"|"plan"|"drift"|"rollback"',
      '  type: Invalid option: expected one of "deploy"|"destroy"|"plan"|"drift"|"rollback"',
      '→ the fields and their types are at /docs/api',
    ],
  },
  {
    it: 'no key',
    does: () => told.call('GET', '/environments', undefined, { authorization: null }),
    shows: ['401 This call needs a key', '→ send it as: Authorization: Bearer wlk_…'],
  },
  {
    it: 'a key that is none',
    does: () => told.call('GET', '/environments', undefined, { authorization: 'Bearer hello' }),
    shows: [
      '401 this is not a Windlass key: they look like wlk_…',
      '→ windlass login, or WINDLASS_TOKEN with a valid key',
    ],
  },
  {
    it: 'a key that expired',
    does: async () => {
      // Late enough that it is not over when a busy machine makes the key.
      const expiresAt = new Date(Date.now() + 3000).toISOString();
      const headers = await key(['view'], expiresAt);
      return server.until(async () => {
        const answer = await told.call('GET', '/environments', undefined, headers);
        return answer.startsWith('401') && answer;
      });
    },
    shows: [
      '401 the key "guest" expired at <time>',
      '→ ask an administrator for a new one (windlass key create NAME), then: windlass login',
    ],
  },
  {
    it: 'a key that would be expired',
    does: () => told.call('POST', '/keys', { name: 'old', expiresAt: '2020-01-01T00:00:00Z' }),
    shows: [
      '400 The key would be expired already',
      '  expiresAt: is in the past',
      '→ give a later moment, or none for a key that does not expire',
    ],
  },
  {
    it: 'a missing permission',
    does: async () => told.call('POST', '/environments/shop/deployments', {}, await key(['view'])),
    shows: [
      '403 guest may not do this: the permission "execute" in <prj> is missing',
      '→ ask an administrator for a key that has it: windlass key create NAME --permission execute@<prj>',
    ],
  },
  {
    it: 'a permission that is none',
    does: () => told.call('POST', '/keys', { name: 'x', permissions: ['fly'] }),
    shows: [
      '400 The permission "fly" cannot be given: there is no permission "fly"; there are * and organization.manage, project.manage, view, plan, execute, approve, abort, rollback, each also as permission@project',
      '  permissions[0]: there is no permission "fly"; there are * and organization.manage, project.manage, view, plan, execute, approve, abort, rollback, each also as permission@project',
    ],
  },
  {
    it: 'a route that is none',
    does: () => told.call('GET', '/environment'),
    shows: [
      '404 There is nothing at /api/v1/environment',
      '→ near it: GET /api/v1/environments, POST /api/v1/environments, GET /api/v1/environments/{ref}',
    ],
  },
  {
    it: 'a method that is none',
    does: () => told.call('PUT', '/environments', {}),
    shows: ['405 PUT is not possible on /environments', '→ possible: GET, POST, HEAD, OPTIONS'],
  },
  {
    it: 'a cursor that is none',
    does: () => told.call('GET', '/deployments?cursor=hello'),
    shows: [
      '400 the cursor is not one of this list',
      '→ pass `next` of the page before as it was answered, or leave it out to begin anew',
    ],
  },
  {
    it: 'an environment that is not there',
    does: () => told.call('GET', '/environments/shpo'),
    shows: ['404 there is no environment "shpo"', '→ there are: "shop" (<env>)'],
  },
  {
    it: 'a template that is not there',
    does: () => told.call('POST', '/environments', { name: 'x', template: 'shpo' }),
    shows: ['404 there is no template "shpo"', '→ there are: "shop" (<tpl>)'],
  },
  {
    it: 'a name that is taken',
    does: () => told.call('POST', '/environments', { name: 'shop', template: 'shop' }),
    shows: [
      '409 the project already has an environment "shop"',
      '→ choose another name, or archive the other one after it was destroyed',
    ],
  },
  {
    it: 'a template in use',
    does: () => told.call('DELETE', '/templates/shop'),
    shows: [
      '409 the template is used by "shop"',
      '→ destroy and archive these environments first, or give them another template',
    ],
  },
  {
    it: 'a project that is not empty',
    does: () => told.call('DELETE', '/projects/default'),
    shows: [
      '409 The project "default" is not empty: it has environment "a", environment "b", environment "shop", template "shop"',
      '→ destroy and archive its environments and delete its templates first',
    ],
  },
  {
    it: 'an environment that is deployed',
    does: () => told.call('DELETE', '/environments/shop'),
    shows: [
      '409 "shop" may still have resources: "shop" (active), "a" (active), "b" (active)',
      '→ destroy it first: windlass destroy shop; or forget them with ?force=true',
    ],
  },
  {
    it: 'a relative directory',
    does: () => told.call('POST', '/templates', template({ source: local({ directory: 'infra' }) })),
    shows: [
      '400 The template cannot be used: source.directory: has to be an absolute directory',
      '  source.directory: has to be an absolute directory',
    ],
  },
  {
    it: 'a path outside of the directory',
    does: () => told.call('POST', '/templates', template({ source: local({ path: '../..' }) })),
    shows: [
      '400 The template cannot be used: source.path: the path "../.." leads out of its source',
      '  source.path: the path "../.." leads out of its source',
    ],
  },
  {
    it: 'a repository that is a command',
    does: () => told.call('POST', '/templates', template({ source: { kind: 'git', repository: 'ext::id' } })),
    shows: [
      '400 The template cannot be used: source.repository: the address of the repository asks for a helper program ("::"); use https, ssh or an absolute path',
      '  source.repository: the address of the repository asks for a helper program ("::"); use https, ssh or an absolute path',
    ],
  },
  {
    it: 'a repository with a password',
    does: () =>
      told.call(
        'POST',
        '/templates',
        template({ source: { kind: 'git', repository: 'https://me:pw@example.org/x.git' } }),
      ),
    shows: [
      '400 The template cannot be used: source.repository: holds a user name or password; keep the token in a sensitive environment variable and name that in source.credentials',
      '  source.repository: holds a user name or password; keep the token in a sensitive environment variable and name that in source.credentials',
    ],
  },
  {
    it: 'a cron that is none',
    does: () => told.call('PUT', '/environments/shop/schedule', { deploy: '0 25 * * *' }),
    shows: [
      '400 The schedule is not usable: "0 25 * * *" is not a cron expression: "25" is no hour (0-23)',
      '  deploy: "0 25 * * *" is not a cron expression: "25" is no hour (0-23)',
    ],
  },
  {
    it: 'a time zone that is none',
    does: () => told.call('PUT', '/environments/shop/schedule', { deploy: '0 5 * * *', timezone: 'Europe/Atlantis' }),
    shows: [
      '400 The schedule is not usable: "Europe/Atlantis" is not a time zone; write an IANA name such as "Europe/Berlin" or "UTC"',
      '  timezone: "Europe/Atlantis" is not a time zone; write an IANA name such as "Europe/Berlin" or "UTC"',
    ],
  },
  {
    it: 'a schedule of a node',
    does: () => told.call('PUT', '/environments/shop%2Fa/schedule', { deploy: '0 5 * * *' }),
    shows: ['409 "shop/a" is a node of "shop"; a schedule is set on the whole environment', '→ ask for "shop"'],
  },
  {
    it: 'a time to live over the maximum',
    does: async () => {
      await server.request('PATCH', '/projects/default', { settings: { maximumTtlHours: 8 } });
      try {
        return await told.call('PUT', '/environments/shop/ttl', { kind: 'hours', hours: 24 });
      } finally {
        await server.request('PATCH', '/projects/default', { settings: {} });
      }
    },
    shows: [
      '400 the time to live is longer than the maximum of 8 hours',
      '  ttl: the time to live is longer than the maximum of 8 hours',
      '→ give at most 8 hours, or have the maximum raised: windlass project update --maximum-ttl',
    ],
  },
  {
    it: 'an environment that is locked',
    does: async () => {
      await server.request('POST', '/environments/shop/lock', { reason: 'the fair is on' });
      const answer = await shopRun({});
      await server.request('DELETE', '/environments/shop/lock');
      return answer;
    },
    shows: [
      '423 "shop" is locked by administrator since <time>: the fair is on',
      '→ unlock it first: windlass environment unlock shop',
    ],
  },
  {
    it: 'an idempotency key for another call',
    does: async () => {
      const headers = { 'idempotency-key': 'once' };
      await server.request('POST', '/environments/shop/deployments', { type: 'plan', comment: 'one' }, headers);
      return told.call('POST', '/environments/shop/deployments', { type: 'plan', comment: 'two' }, headers);
    },
    shows: [
      '422 the idempotency key "once" was used for another request',
      '→ use a new key for every new request, and the same only to repeat one',
    ],
  },
  {
    it: 'a partial run of a node that is not there',
    does: () => told.run('shop', { partial: { operation: 'run-from-here', node: 'c' } }),
    shows: [
      '422 the graph has no node "c"; it has "a", "b"',
      '  : the graph has no node "c"; it has "a", "b"',
      '→ the nodes there are: windlass graph shop',
    ],
  },
  {
    it: 'a node taken away below another',
    does: () => told.run('shop', { type: 'destroy', partial: { operation: 'single-node-destroy', node: 'a' } }),
    shows: [
      '422 "a" is needed by "b", which would be left without it; destroy them first, or use --force',
      '  : "a" is needed by "b", which would be left without it; destroy them first, or use --force',
      '→ what needs what: windlass graph shop',
    ],
  },
  {
    it: 'a rollback to a deployment that is not there',
    does: () => shopRun({ type: 'rollback', rollbackTo: 'dpl_none' }),
    shows: ['404 there is no deployment "dpl_none"', '→ there are: <runs>'],
  },
  {
    it: 'a resume of what succeeded',
    does: () => told.call('POST', `/deployments/${deployed.id}/resume`, {}),
    shows: ['409 Deployment 1 of "shop" succeeded: nothing is left to resume', '→ deploy again instead'],
  },
  {
    it: 'a retry in a run that is over',
    does: () => told.call('POST', `/deployments/${deployed.id}/nodes/a/retry`, {}),
    shows: [
      '409 Deployment 1 of "shop" is over; "a" cannot be tried again in it',
      '→ resume the deployment, or deploy the node: windlass deploy shop/a',
    ],
  },
  {
    it: 'a move of a node that is not there',
    does: () => told.run('shop', { moves: { c: 'd' } }),
    shows: [
      '422 cannot move "c" to "d": the first must be deployed and the second in the file',
      '→ deployed: "a", "b"; in the file: "a", "b"',
    ],
  },
  {
    it: 'a variable with a name that is none',
    does: () => told.call('POST', '/variables?scope=project', { name: '1 x', value: 'x' }),
    shows: [
      '400 The body is not valid: name: starts with a letter or _, then letters, digits, "_", "-" or "."',
      '  name: starts with a letter or _, then letters, digits, "_", "-" or "."',
      '→ the fields and their types are at /docs/api',
    ],
  },
  {
    it: 'a pattern that is none',
    does: () => told.call('POST', '/variables?scope=project', { name: 'x', value: 'x', regex: '(' }),
    shows: [
      '400 The pattern of "x" cannot be used: "(" is not a regular expression: missing closing )',
      '  regex: "(" is not a regular expression: missing closing )',
    ],
  },
  {
    it: 'a value of another type',
    does: () => told.call('POST', '/variables?scope=project', { name: 'size', type: 'number', value: 'big' }),
    shows: [
      '400 The variable does not fit: variable "size" has to be a number, but is other text (set at the project level)',
      '  value: variable "size" has to be a number, but is other text (set at the project level)',
    ],
  },
  {
    it: 'a value that is not allowed',
    does: () => told.call('POST', '/variables?scope=project', { name: 'size', value: 'xl', allowed: ['s', 'm'] }),
    shows: [
      '400 The variable does not fit: variable "size" does not fit: the value "xl" has to be "s" or "m" (project level)',
      '  value: variable "size" does not fit: the value "xl" has to be "s" or "m" (project level)',
    ],
  },
];

testBrokenInput('a call', calls);
