// browser.mjs - a Chromium on the pages of a real reeld: what the browser
// tests share.  Everything a page complains about (exceptions, console errors,
// violations of the content policy) is kept and must be empty.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after } from 'node:test';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
	'--disable-component-update', '--disable-sync', '--no-first-run', '--autoplay-policy=no-user-gesture-required'];

// Not within browser(): there, `after` would be the end of the caller's hook.
const open = [];
after(() => Promise.all(open.map((one) => one.close())));

export async function browser() {
	const self = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args });
	open.push(self);
	return self;
}

// A fresh profile: its own cookies and storage.
export async function profile(chrome, options = {}) {
	const context = await chrome.newContext({ viewport: { width: 1280, height: 900 }, ...options });
	context.setDefaultTimeout(20_000);
	await context.addInitScript(() => {
		addEventListener('securitypolicyviolation', (e) => {
			console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`);
		});
	});
	const page = await context.newPage();
	page.wrong = [];
	page.on('pageerror', (e) => page.wrong.push(`exception: ${e.message}`));
	page.on('console', (m) => {
		// A refused request is the server's answer, not the page's mistake.
		if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) page.wrong.push(m.text());
	});
	return page;
}

// A one-time link of the first admin, with the address that the test uses.
export async function link(r) {
	const { code, out, err } = await r.cli('admin-link');
	assert.equal(code, 0, err);
	return `${r.url}${new URL(out.trim()).pathname}${new URL(out.trim()).search}`;
}

export async function sign_in(page, r) {
	await page.goto(await link(r));
	await page.locator('#prompt').waitFor();
}

// The API as the page's own user.
export function api(page, path) {
	return page.evaluate(async (p) => (await fetch(`/api/v1${p}`)).json(), path);
}

export async function choose_model(page, name) {
	await page.locator('.model-button').click();
	await page.locator('.model-card', { hasText: name }).first().click();
	await page.locator('.model-button', { hasText: name }).waitFor();
	// While a modal dialog is open, nothing outside it takes the focus: a text
	// filled in then is lost.
	await page.locator('dialog[open]').waitFor({ state: 'detached' });
}

// Orders on /create; the id of the new generation.
export async function order(page, model, prompt) {
	await page.goto(new URL('/create', page.url()).href);
	await page.locator('#prompt').waitFor();
	await choose_model(page, model);
	await page.locator('#prompt').fill(prompt);
	assert.equal(await page.locator('#prompt').inputValue(), prompt);
	const seen = [];
	const note = (what) => (q) => { if (q.url().includes('/api/')) seen.push(`${what} ${q.method?.() ?? q.status()} ${q.url()}`); };
	const asked = note('asked'), answered = note('answered');
	page.on('request', asked);
	page.on('response', answered);
	await page.getByRole('button', { name: /^Generate · \d/ }).click();
	await page.waitForURL(/\/create\/[0-9a-f-]{36}$/).catch(async (e) => {
		// On few lines: a report shows the first ones.
		const shown = await page.locator('.price-card, .notices').allInnerTexts();
		throw new Error(`pressed, and nothing came of it: ${seen.join(', ') || 'nothing asked'}\n` +
			shown.join(' | ').replace(/\s+/g, ' '), { cause: e });
	});
	page.off('request', asked);
	page.off('response', answered);
	return page.url().split('/').at(-1);
}

export async function badge(page, text) {
	await page.locator('.side .badge', { hasText: text }).waitFor({ timeout: 60_000 });
}

// Nothing is being asked, and no colour is on its way to another.
const at_rest = (page) => page.waitForFunction(() => !document.querySelector('[aria-busy=true]')
	&& document.getAnimations().every((a) => a.playState !== 'running' || a.effect.getComputedTiming().iterations === Infinity));

// No serious or critical finding; sees only what is on the page now. axe looks
// at positions first and at colours later, and lets the page go on in between:
// what it finds on a page that changed meanwhile may be of neither state, so it
// looks again.
export async function accessible(page, what) {
	await page.evaluate(`${axe};0`);
	let found;
	for (let looks = 0; looks < 5; looks++) {
		await at_rest(page);
		found = await page.evaluate(async () => {
			let changed = false;
			const watch = new MutationObserver(() => { changed = true; });
			watch.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
			const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
			watch.disconnect();
			return { changed, bad: violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
				.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`) };
		});
		if (!found.bad.length || !found.changed) break;
	}
	assert.deepEqual(found.bad.map((f) => `${what}: ${f}`), []);
}

export async function no_sideways(page, what) {
	const [wide, width] = await page.evaluate(() =>
		[document.documentElement.scrollWidth, document.documentElement.clientWidth]);
	assert.ok(wide <= width, `${what}: ${wide} px on a page of ${width} px`);
}

export function clean(page) {
	assert.deepEqual(page.wrong, []);
}
