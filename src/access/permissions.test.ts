import { permissions } from '../model/index.ts';
import { allows, checkGrant, requirePermission, systemPrincipal, visibleProjects } from './permissions.ts';
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
    expect(allows(holding('*'), permission)).toBe(true);
    expect(allows(systemPrincipal, permission, 'prj_1')).toBe(true);
  }
});

test('a permission holds in every project, one for a project only there', () => {
  expect(allows(holding('execute'), 'execute', 'prj_1')).toBe(true);
  expect(allows(holding('execute@prj_1'), 'execute', 'prj_1')).toBe(true);
  expect(allows(holding('execute@prj_1'), 'execute', 'prj_2')).toBe(false);
  expect(allows(holding('execute@prj_1'), 'execute')).toBe(false);
  expect(allows(holding('execute'), 'approve', 'prj_1')).toBe(false);
  expect(allows(holding(), 'view')).toBe(false);
});

test('every permission lets see what it is for, and nothing else', () => {
  expect(allows(holding('execute@prj_1'), 'view', 'prj_1')).toBe(true);
  expect(allows(holding('execute@prj_1'), 'view', 'prj_2')).toBe(false);
  expect(allows(holding('execute@prj_1'), 'view')).toBe(false);
  expect(visibleProjects(holding('execute@prj_1', 'view@prj_2', 'approve@prj_1'))).toEqual(['prj_1', 'prj_2']);
  expect(visibleProjects(holding('execute@prj_1', 'view'))).toBe('all');
  expect(visibleProjects(holding())).toEqual([]);
});

test('what is missing is named', () => {
  expect(() => requirePermission(holding('view'), 'rollback', 'prj_1')).toThrow(/ci .*"rollback" in prj_1/);
  expect(() => requirePermission(holding('rollback@prj_1'), 'rollback', 'prj_1')).not.toThrow();
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
