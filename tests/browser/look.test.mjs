// look.test.mjs - every page, light and dark, wide and 360 px: no serious or
// critical finding of axe, nothing wider than the screen, no violation of the
// content policy; and how an operator sees the jobs.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { reeld, worker } from '../it/env.mjs';
import { accessible, api, badge, browser, clean, no_sideways, order, profile, sign_in } from './browser.mjs';

let r, chrome, ids;
before(async () => {
	r = await reeld();
	await worker(r);
	chrome = await browser();
	const page = await profile(chrome);
	await sign_in(page, r);
	ids = { failed: await order(page, 'Demo Fails', 'A long prompt about a lighthouse, its keeper and the sea around it, '.repeat(4)) };
	await badge(page, 'Failed');
	ids.done = await order(page, 'Demo Pixel', 'Short');
	await badge(page, 'Completed');
	ids.running = await order(page, 'Demo Slow', 'Slow');
	await badge(page, 'Generating');
	clean(page);
});

const pages = () => ({
	create: '/create', done: `/generations/${ids.done}`, failed: `/generations/${ids.failed}`,
	running: `/generations/${ids.running}`, history: '/history', credits: '/credits', keys: '/keys',
	jobs: '/admin/jobs', job: `/admin/jobs/${ids.failed}`, workers: '/admin/workers', users: '/admin/users',
	missing: '/no/such/page', nothing: '/history?search=zzzz', 'unknown video': '/generations/01a1fc55-40fc-702e-b6c2-66daf8afc6d2',
});

for (const colorScheme of ['light', 'dark']) {
	for (const width of [1280, 360]) {
		test(`${colorScheme}, ${width} px`, async () => {
			const page = await profile(chrome, { colorScheme, viewport: { width, height: 800 },
				reducedMotion: 'reduce', ...(width === 360 ? { hasTouch: true, isMobile: true } : {}) });
			await page.goto(`${r.url}/credits`);
			await page.getByRole('heading', { name: 'Welcome to reeld' }).waitFor();
			await accessible(page, 'sign-in');
			await no_sideways(page, 'sign-in');
			await sign_in(page, r);
			for (const [name, path] of Object.entries(pages())) {
				await page.goto(r.url + path);
				await page.locator('main h1').waitFor();
				await page.locator('.skeleton, .ghost-tile').first().waitFor({ state: 'detached' });
				assert.equal(await page.locator('.trouble[role=alert]').count(), name === 'failed' ? 1 : 0, `${name}: ${await page.locator('main').innerText()}`);
				await no_sideways(page, name);
				await accessible(page, name);
			}
			await page.goto(`${r.url}/create`);
			await page.locator('.model-button').click();
			await page.locator('.model-card').first().waitFor();
			await accessible(page, 'models');
			await no_sideways(page, 'models');
			await page.keyboard.press('Escape');
			await page.locator('.avatar').click();
			await accessible(page, 'account menu');
			clean(page);
			await page.context().close();
		});
	}
}

test('the theme is chosen and kept', async () => {
	const page = await profile(chrome, { colorScheme: 'light' });
	await sign_in(page, r);
	const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
	const light = await paper();
	await page.locator('.avatar').click();
	await page.locator('#account').getByText('Dark').click();
	const dark = await paper();
	assert.notEqual(light, dark);
	await page.reload();
	await page.locator('#prompt').waitFor();
	assert.equal(await paper(), dark);
	clean(page);
});

test('an operator follows the jobs, and acts on many of them', async () => {
	const page = await profile(chrome);
	await sign_in(page, r);
	await page.goto(`${r.url}/admin/jobs`);
	await page.locator('.jobs tbody tr').first().waitFor();
	const before = await page.locator('.jobs tbody tr').count();
	await page.waitForFunction(() => /[1-9]/.test(document.querySelector('.now-strip').innerText));

	// A new one is offered, the rows stay where they are.
	const first = await page.locator('.jobs tbody tr').first().innerText();
	const ann = await r.user({ credits: 500, email: 'ann@example.org' });
	const made = [];
	for (let i = 0; i < 3; i++) made.push(await ann.submit({ model: 'demo-slow', prompt: `Bulk ${i}` }));
	await page.locator('.pill').waitFor();
	assert.equal(await page.locator('.jobs tbody tr').count(), before);
	assert.equal((await page.locator('.jobs tbody tr').first().innerText()).split('\n')[0], first.split('\n')[0]);
	await page.locator('.pill').click();
	await page.locator('.jobs tbody tr', { hasText: 'Bulk 0' }).waitFor();

	// Found by its owner, opened, with attempts and money.
	await page.getByRole('searchbox').fill('ann@example.org');
	await page.waitForURL(/q=ann/);
	await page.locator('.jobs tbody tr', { hasText: 'Slow' }).filter({ hasNotText: 'Bulk' }).waitFor({ state: 'detached' });
	assert.equal(await page.locator('.jobs tbody tr').count(), 3);

	// Two of them are selected, counted by the server, cancelled.
	for (const i of [1, 2]) await page.locator('.jobs tbody tr', { hasText: `Bulk ${i}` }).getByRole('checkbox').check();
	await page.locator('.bulk-bar').getByRole('button', { name: 'Cancel' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByText('Would act on 2 jobs').waitFor();
	await accessible(page, 'bulk');
	await dialog.getByLabel(/Reason/).fill('a test');
	await dialog.getByRole('button', { name: 'Cancel 2' }).click();
	await dialog.waitFor({ state: 'hidden' });
	for (const i of [1, 2]) assert.equal((await ann.ended(made[i].id)).status, 'cancelled');
	assert.notEqual((await ann.get(`/generations/${made[0].id}`)).body.status, 'cancelled');

	// And what a filter finds: the server counts, and says it in words.
	await page.goto(`${r.url}/admin/jobs?q=Bulk`);
	await page.locator('.bulk-bar').getByRole('button', { name: 'Cancel' }).click();
	await dialog.getByText(/Would act on 1 job\b/).waitFor();
	await dialog.getByLabel(/Reason/).fill('the rest');
	await dialog.getByRole('button', { name: 'Cancel 1' }).click();
	await dialog.waitFor({ state: 'hidden' });
	assert.equal((await ann.ended(made[0].id)).status, 'cancelled');
	await page.goto(`${r.url}/admin/jobs?state=completed`);
	await page.locator('.jobs tbody tr').first().waitFor();
	assert.equal(await page.locator('.bulk-bar').getByRole('button', { name: 'Cancel' }).isDisabled(), true);

	await page.goto(`${r.url}/admin/jobs/${ids.failed}`);
	await page.getByText('Attempt 1').waitFor();
	await page.getByText('Refunded', { exact: false }).first().waitFor();
	await page.getByText('Raw JSON').click();
	assert.match(await page.locator('.raw pre').innerText(), new RegExp(ids.failed));
	clean(page);
});

test('an admin gives credits once', async () => {
	const page = await profile(chrome);
	await sign_in(page, r);
	const bob = await r.user({ credits: 5, email: 'bob@example.org' });
	await page.goto(`${r.url}/admin/users`);
	await page.getByRole('searchbox').fill('bob@example.org');
	await page.getByRole('button', { name: 'Adjust credits of bob@example.org' }).click();
	await page.getByLabel(/Give/).fill('40');
	await page.getByLabel(/Note/).fill('welcome');
	await page.getByRole('button', { name: '+40 credits' }).click();
	await page.getByRole('dialog').waitFor({ state: 'hidden' });
	assert.equal(await bob.balance(), 45);
	await page.locator('.rows li', { hasText: 'bob@example.org' }).getByText('45').waitFor();
	const refused = await profile(chrome);
	clean(page);
	await refused.context().close();
});

test('one who is not an operator sees no admin pages', async () => {
	const page = await profile(chrome);
	await sign_in(page, r);
	await page.route('**/api/v1/me', async (route) => {
		const reply = await route.fetch();
		await route.fulfill({ response: reply, json: { ...await reply.json(), role: 'user' } });
	});
	await page.goto(`${r.url}/admin/jobs`);
	await page.getByRole('heading', { name: 'Only for operators' }).waitFor();
	assert.equal(await page.getByRole('link', { name: 'Admin' }).count(), 0);
	assert.equal((await api(page, '/credits')).balance > 0, true);
	clean(page);
});
