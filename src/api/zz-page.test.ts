import { chromium } from 'playwright-core';
import { createEnvironment, recordEvent } from '../store/index.ts';
import { startHarness } from './api.test-support.ts';
test('page', async () => {
  const api = await startHarness();
  const root = await api.environment('Online shop');
  await api.environment('Other');
  const { body: dep } = await api.call<{ id: string }>('POST', `environments/${root.id}/deployments`, { body: {} });
  const aliases: [string, number[], string][] = [['VPC and Network', [], 'succeeded'], ['DB', [0], 'running'], ['EKS', [0], 'waitingForApproval'], ['Billing Service', [1, 2], 'pending'], ['Configuration', [1, 2], 'failed'], ['Notification Service', [1, 2], 'skipped']];
  await api.db.sql.updateTable('deployments').set({ status: 'running', started_at: new Date() }).where('id', '=', dep.id).execute();
  for (const [index, [alias, needs, status]] of aliases.entries()) {
    const node = await createEnvironment(api.db.sql, { projectId: root.projectId, name: alias, templateId: root.templateId, parent: { id: root.id, alias }, settings: root.settings });
    await api.db.sql.insertInto('node_runs').values({ deployment_id: dep.id, index, alias, name: alias, environment_id: node.id, action: 'deploy', status, needs: JSON.stringify(needs), started_at: new Date() }).execute();
  }
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 } });
  const messages: string[] = [];
  page.on('console', (m) => messages.push(m.text()));
  page.on('pageerror', (e) => messages.push(String(e)));
  await page.goto(`${api.url}/`);
  await page.screenshot({ path: '/tmp/page-0.png' });
  await page.goto(`${api.url}/#key=${api.token}`);
  await page.reload();
  await page.waitForSelector('svg .node');
  await page.screenshot({ path: '/tmp/page-1.png' });
  await recordEvent(api.db.sql, { type: 'node.status', environmentId: root.id, deploymentId: dep.id, alias: 'DB', data: { index: 1, status: 'succeeded', counts: { add: 2, change: 0, destroy: 0 } } });
  await page.waitForFunction(() => [...document.querySelectorAll('svg .state')].some((t) => t.textContent?.includes('+2 ~0 -0')));
  await page.click('svg .node >> nth=1');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.screenshot({ path: '/tmp/page-2.png', fullPage: true });
  expect(page.url()).not.toContain('key=');
  await page.goto(`${api.url}/docs/api`);
  await page.waitForSelector('.opblock-tag');
  await page.screenshot({ path: '/tmp/page-3.png' });
  console.log(messages.join('\n'));
  await browser.close();
  await api.close();
}, 90_000);
