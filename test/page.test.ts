import { join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';
import { openPage, startBrowser } from './support/browser.ts';
import type { WatchedPage } from './support/browser.ts';
import { makeEnvironment, makeProject, node } from './support/project.ts';
import { useTestServer } from './support/windlass.ts';

const server = useTestServer();
let browser: Browser;
let opened: WatchedPage[] = [];

beforeAll(async () => {
  browser = await startBrowser();
  await server.createTemplate({
    name: 'Online shop',
    type: 'workflow',
    source: { kind: 'local', directory: join(__dirname, '..', 'examples', 'online-shop') },
  });
  await server.createEnvironment({ name: 'shop', template: 'Online shop' });
  await server.createEnvironment({ name: 'staging', template: 'Online shop' });
  expect((await server.run('shop')).status).toBe('succeeded');
});
afterAll(async () => {
  await browser?.close();
});
afterEach(async () => {
  await Promise.all(opened.map(({ page }) => page.context().close()));
  opened = [];
});

const open = async (path: string): Promise<WatchedPage> => {
  const watched = await openPage(browser, `${server.url}${path}`);
  opened.push(watched);
  return watched;
};
/** The landing page, with the key typed in. */
const signedIn = async (): Promise<WatchedPage> => {
  const watched = await open('/');
  await watched.page.getByLabel('Key').fill(server.token);
  await watched.page.getByRole('button', { name: 'Open' }).click();
  await watched.page.getByRole('heading', { name: 'Environments' }).waitFor();
  return watched;
};
/** The card of the environment with exactly this name. */
const cardOf = (page: Page, name: string): Locator =>
  page.locator('#list button').filter({ has: page.getByText(name, { exact: true }) });
const expectClean = ({ errors, strangers }: WatchedPage): void =>
  expect({ errors, strangers }).toEqual({ errors: [], strangers: [] });

describe('the landing page', () => {
  it('asks a newcomer for a key, shows nothing without one, and says where one is', async () => {
    const watched = await open('/');
    const { page } = watched;
    await page.getByRole('heading', { name: 'Welcome' }).waitFor();
    expect(await page.locator('#environments').isVisible()).toBe(false);
    expect(await page.locator('#sign-in').innerText()).toContain('windlass key create me --permission view');
    await page.locator('#health li').first().waitFor();
    expect(await page.locator('#health li').allInnerTexts()).toEqual(['database', 'Temporal', 'encryption key']);
    expectClean(watched);
  });

  it('refuses a key that is none with the reason', async () => {
    const { page } = await open('/');
    await page.getByLabel('Key').fill('wlk_nonsense');
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').innerText()).toContain('this is not a Windlass key');
    expect(await page.locator('#environments').isVisible()).toBe(false);
  });

  it('shows environments with their status, and the graph of the last run with the state of each node', async () => {
    const watched = await signedIn();
    const { page } = watched;
    const shop = cardOf(page, 'shop');
    expect(await shop.locator('.badge').innerText()).toBe('active');
    expect(await cardOf(page, 'staging').locator('.badge').innerText()).toBe('never deployed');
    await shop.click();
    await page.locator('#graph g.node').nth(5).waitFor();
    const nodes = await page
      .locator('#graph g.node')
      .evaluateAll((all) => all.map((node) => node.getAttribute('aria-label')));
    expect(nodes.toSorted()).toEqual(
      [
        ['Billing Service', 2],
        ['Configuration Service', 2],
        ['DB', 2],
        ['EKS', 5],
        ['Notification Service', 2],
        ['VPC and Network', 3],
      ].map(([name, added]) => `${name}: ✔ succeeded · +${added} ~0 -0. Open the log`),
    );
    // The colour says the same as the sign and the word.
    const frame = "getComputedStyle(document.querySelector('#graph g.node rect')).stroke";
    expect(await page.evaluate(frame)).toBe('rgb(23, 107, 52)');
    expect(await page.locator('#run-title').innerText()).toContain('shop');
    expectClean(watched);
  });

  it('opens the log of a node, with the keyboard too', async () => {
    const watched = await signedIn();
    const { page } = watched;
    await cardOf(page, 'shop').click();
    await page.locator('#graph g.node[aria-label^="DB"]').focus();
    await page.keyboard.press('Enter');
    await page.locator('#log').filter({ hasText: 'Apply complete' }).waitFor();
    expect(await page.locator('#log-node').innerText()).toBe('db');
    expectClean(watched);
  });

  it('has links that work', async () => {
    const { page } = await signedIn();
    await cardOf(page, 'shop').click();
    await page.locator('#run-temporal').waitFor();
    const addresses = await page
      .locator('a[href]:visible')
      .evaluateAll((links) => links.map((link) => (link as unknown as { href: string }).href));
    expect(addresses).toEqual(expect.arrayContaining([`${server.url}/`, `${server.url}/docs/api`]));
    expect(addresses.some((address) => address.startsWith(server.temporalUrl ?? 'nowhere'))).toBe(true);
    for (const address of new Set(addresses)) expect([address, (await fetch(address)).status]).toEqual([address, 200]);
  });

  it('follows a run that begins while it is open, without being asked', async () => {
    const watched = await signedIn();
    const { page } = watched;
    await cardOf(page, 'staging').click();
    await page.locator('#run-summary').filter({ hasText: 'Never deployed' }).waitFor();
    expect((await server.run('staging')).status).toBe('succeeded');
    await page.locator('#run-status').filter({ hasText: 'succeeded' }).waitFor();
    expect(await page.locator('#graph g.node.good').count()).toBe(6);
    const badge = cardOf(page, 'staging').locator('.badge');
    await badge.filter({ hasText: /^active$/ }).waitFor();
    expectClean(watched);
  });

  it('shows live what a rollback takes back', async () => {
    const project = makeProject('taken-back');
    try {
      project.stack('a');
      project.stack('b');
      project.failing('b', true);
      project.workflow({
        settings: { onFailure: 'rollback' },
        environments: { a: node('a', { name: 'Network' }), b: node('b', { name: 'Database', needs: ['a'] }) },
      });
      const environment = await makeEnvironment(server, project);
      const watched = await signedIn();
      const { page } = watched;
      await cardOf(page, environment.name).click();
      const taken = page.locator('#graph g.node[aria-label^="Network: ↩ taken down again"]');
      expect((await server.run(environment.id)).status).toBe('rolledBack');
      await page.locator('#run-status').filter({ hasText: 'rolled back' }).waitFor();
      await taken.waitFor();
      // Whoever comes later sees the same.
      await page.reload();
      await cardOf(page, environment.name).click();
      await taken.waitFor();
      expectClean(watched);
    } finally {
      project.remove();
    }
  });

  it('keeps the key in its tab alone, and forgets it when told', async () => {
    const { page } = await signedIn();
    expect(await page.evaluate('JSON.stringify([{ ...localStorage }, document.cookie])')).toBe('[{},""]');
    await page.getByRole('button', { name: 'Forget key' }).click();
    await page.getByRole('heading', { name: 'Welcome' }).waitFor();
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
  });
});

describe('the page of the API', () => {
  it('lists the calls and describes one, from this server alone', async () => {
    const watched = await open('/docs/api');
    const { page } = watched;
    await page.locator('.opblock').first().waitFor();
    expect(await page.locator('.opblock').count()).toBeGreaterThan(50);
    await page.locator('.opblock button').first().click();
    await page.locator('.opblock.is-open').waitFor();
    expect(await page.locator('.opblock.is-open').innerText()).toMatch(/Responses/i);
    expectClean(watched);
    await page.getByRole('link', { name: 'Windlass' }).click();
    await page.getByRole('heading', { name: 'Welcome' }).waitFor();
  });
});
