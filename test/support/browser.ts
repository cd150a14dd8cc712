import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { toolPath } from './tools.ts';

/** A page of a real browser, with everything that went wrong on it. */
export interface WatchedPage {
  readonly page: Page;
  /** Errors that the page wrote on its console or did not catch. */
  readonly errors: string[];
  /** Addresses outside of the server that were asked for. */
  readonly strangers: string[];
}

/** The system's chromium, without a window. Throws when there is none, since a skipped test proves nothing. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: toolPath('chromium'),
    // Its sandbox needs another user than root, which tests in containers are.
    args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
  });
}

/** Opens a page of the server in a context of its own, as a newcomer would. */
export async function openPage(browser: Browser, url: string): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-US' });
  const page = await context.newPage();
  const watched: WatchedPage = { page, errors: [], strangers: [] };
  const { origin } = new URL(url);
  page.on('console', (message) => {
    if (message.type() === 'error') watched.errors.push(message.text());
  });
  page.on('pageerror', (error) => watched.errors.push(error.message));
  page.on('request', (request) => {
    const asked = new URL(request.url());
    if (asked.protocol !== 'data:' && asked.origin !== origin) watched.strangers.push(request.url());
  });
  await page.goto(url, { waitUntil: 'load' });
  return watched;
}
