import { permissions } from '../model/index.ts';
import { checkGrant, readGrant, readGrants } from './grants.ts';
import { can, isAdministrator, requirePermission, systemPrincipal, visibleProjects } from './permissions.ts';
import type { Principal } from './permissions.ts';

const holding = (...granted: string[]): Principal => ({
  kind: 'key',
  id: 'key_1',
  name: 'ci',
  from: null,
  permissions: granted,
});

test('an administrator and Windlass itself may do everything', () => {
  for (const permission of permissions) {
    expect(can(holding('*'), permission)).toBe(true);
    expect(can(systemPrincipal, permission, { projectId: 'prj_1' })).toBe(true);
  }
});

test('a permission holds in every project, one for a project only there', () => {
  expect(can(holding('execute'), 'execute', { projectId: 'prj_1' })).toBe(true);
  expect(can(holding('execute@prj_1'), 'execute', { projectId: 'prj_1' })).toBe(true);
  expect(can(holding('execute@prj_1'), 'execute', { projectId: 'prj_2' })).toBe(false);
  expect(can(holding('execute@prj_1'), 'execute')).toBe(false);
  expect(can(holding('execute'), 'approve', { projectId: 'prj_1' })).toBe(false);
  expect(can(holding(), 'view')).toBe(false);
});

test('every permission lets see what it is for, and nothing else', () => {
  expect(can(holding('execute@prj_1'), 'view', { projectId: 'prj_1' })).toBe(true);
  expect(can(holding('execute@prj_1'), 'view', { projectId: 'prj_2' })).toBe(false);
  expect(can(holding('execute@prj_1'), 'view')).toBe(false);
  expect(visibleProjects(holding('execute@prj_1', 'view@prj_2', 'approve@prj_1'))).toEqual(['prj_1', 'prj_2']);
  expect(visibleProjects(holding('execute@prj_1', 'view'))).toBe('all');
  expect(visibleProjects(holding())).toEqual([]);
});

test('what is missing is named', () => {
  expect(() => requirePermission(holding('view'), 'rollback', { projectId: 'prj_1' })).toThrow(
    /ci .*"rollback" in prj_1/,
  );
  expect(() => requirePermission(holding('rollback@prj_1'), 'rollback', { projectId: 'prj_1' })).not.toThrow();
});

test.each(['*', 'view', 'organization.manage', 'execute@prj_1'])('%s can be granted', (grant) => {
  expect(checkGrant(grant)).toBe(grant);
});

test.each(['', 'deploy', '*@prj_1', 'execute@', '@prj_1', 'execute@prj_1@prj_2', 'View'])(
  '"%s" cannot be granted',
  (grant) => {
    expect(() => checkGrant(grant)).toThrow('there is no permission');
  },
);

test('a grant that means nothing grants nothing, and shuts nobody out of the rest', () => {
  expect(readGrant('*@prj_1')).toBeNull();
  expect(readGrants(['deploy', 'execute@prj_1', ''])).toEqual([{ permission: 'execute', projects: ['prj_1'] }]);
  expect(isAdministrator(holding('*@prj_1', 'organization.manage'))).toBe(false);
  expect(can(holding('deploy', 'execute@prj_1'), 'execute', { projectId: 'prj_1' })).toBe(true);
});
