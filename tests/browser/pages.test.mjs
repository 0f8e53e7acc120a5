// pages.test.mjs - what people do on the pages, in a real browser on a real
// reeld with a real worker.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { reeld, worker } from '../it/env.mjs';
import { api, badge, browser, choose_model, clean, link, order, profile, sign_in } from './browser.mjs';

let r, chrome, page;
before(async () => {
	r = await reeld();
	await worker(r);
	chrome = await browser();
	page = await profile(chrome);
	await sign_in(page, r);
});

const balance = async () => Number((await page.locator('.balance').innerText()).replace(/\D/g, ''));

test('a link signs in once, and its token stays nowhere', async () => {
	const mine = await profile(chrome);
	const url = await link(r);
	await mine.goto(`${r.url}/history?search=boats`);
	await mine.getByRole('heading', { name: 'Welcome to reeld' }).waitFor();
	assert.equal(mine.url(), `${r.url}/history?search=boats`);
	await mine.goto(url);
	await mine.locator('#prompt').waitFor();
	assert.equal(mine.url(), `${r.url}/`);
	await mine.goBack();
	assert.doesNotMatch(mine.url(), /token/);
	assert.equal(await mine.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }])
		.includes('token')), false);

	const late = await profile(chrome);
	await late.goto(url);
	await late.getByRole('heading', { name: 'This link does not work any more' }).waitFor();
	clean(mine);
	clean(late);
});

test('a video is ordered, followed live, and plays', async () => {
	const had = await balance();
	const id = await order(page, 'Demo Pixel', 'A paper boat on a puddle');
	// No reload, no poll: what follows comes over the WebSocket.
	const reads = [];
	page.on('request', (q) => { if (q.url().endsWith(`/generations/${id}/status`)) reads.push(q.url()); });
	await badge(page, 'Completed');
	assert.equal(await page.locator('.side').getByRole('button', { name: 'Cancel' }).count(), 0, 'with the event');
	assert.deepEqual(reads, []);
	const g = await api(page, `/generations/${id}`);
	assert.equal(await balance(), had - g.credits);
	await page.locator('.timeline li', { hasText: 'Completed' }).waitFor();
	assert.match(await page.locator('.timeline').innerText(), /Accepted[^]*Generating[^]*Completed/);
	const receipt = page.getByRole('region', { name: 'Receipt' });
	await receipt.getByText('Charged', { exact: false }).first().waitFor();

	const video = page.locator('.stage video');
	const played = await video.evaluate(async (v) => {
		v.muted = true;
		await v.play();
		await new Promise((done) => {
			const look = () => (v.currentTime > 0.5 ? done() : v.requestVideoFrameCallback(look));
			v.requestVideoFrameCallback(look);
		});
		const c = document.createElement('canvas');
		c.width = 32;
		c.height = 18;
		const at = c.getContext('2d');
		at.drawImage(v, 0, 0, c.width, c.height);
		const { data } = at.getImageData(0, 0, c.width, c.height);
		let bright = 0;
		for (let i = 0; i < data.length; i += 4) if (data[i] + data[i + 1] + data[i + 2] > 60) bright++;
		return { time: v.currentTime, bright: bright / (data.length / 4), height: v.videoHeight };
	});
	assert.ok(played.time > 0.5);
	assert.ok(played.bright > 0.2, `only ${played.bright} of the picture is not black`);
	// Not the width: pixels need not be square.
	assert.equal(played.height, g.video.height);
	clean(page);
});

test('a failed one says why, and that the credits are back', async () => {
	const had = await balance();
	const id = await order(page, 'Demo Fails', 'This will not work');
	await badge(page, 'Failed');
	const g = await api(page, `/generations/${id}`);
	assert.ok(g.credits > 0);
	await page.getByText(g.error.message).first().waitFor();
	assert.match(await page.locator('.refund').innerText(), new RegExp(`Refunded ${g.credits} credits?`));
	await page.waitForFunction((n) => Number(document.querySelector('.balance').innerText.replace(/\D/g, '')) === n, had);
	clean(page);
});

test('a running one is cancelled, and the text says what happens to the credits', async () => {
	const had = await balance();
	const id = await order(page, 'Demo Slow', 'A lighthouse in fog');
	await badge(page, 'Generating');
	await page.locator('.side').getByRole('button', { name: 'Cancel' }).click();
	const dialog = page.getByRole('dialog');
	assert.match(await dialog.innerText(), /credits come back/);
	await dialog.getByRole('button', { name: 'Cancel the video' }).click();
	await badge(page, 'Cancelled');
	await page.locator('.refund').waitFor();
	assert.equal((await api(page, `/generations/${id}`)).status, 'cancelled');
	await page.waitForFunction((n) => Number(document.querySelector('.balance').innerText.replace(/\D/g, '')) === n, had);

	await page.locator('.side').getByRole('button', { name: 'Try again' }).click();
	await dialog.getByRole('button', { name: /Try again/ }).click();
	await page.waitForURL((url) => !url.pathname.endsWith(id));
	const again = await api(page, `/generations/${page.url().split('/').at(-1)}`);
	assert.deepEqual([again.parent_id, again.relation], [id, 'retry']);
	await page.locator('.side').getByRole('button', { name: 'Cancel' }).click();
	await dialog.getByRole('button', { name: 'Cancel the video' }).click();
	await badge(page, 'Cancelled');
	clean(page);
});

test('a second press of the same order does not pay twice, also after a reload', async () => {
	await page.goto(`${r.url}/create`);
	await choose_model(page, 'Demo Pixel');
	await page.locator('#prompt').fill('Only once');
	const had = (await api(page, '/credits')).balance;
	// The answer gets lost on its way.
	let lost = 0;
	await page.route('**/api/v1/generations', async (route) => {
		if (route.request().method() !== 'POST' || lost > 0) return route.continue();
		lost++;
		await route.fetch();
		return route.abort();
	});
	await page.getByRole('button', { name: /^Generate · \d/ }).click();
	await page.getByRole('alert').filter({ hasText: 'can’t be reached' }).waitFor();
	await page.reload();
	await page.getByRole('button', { name: /^Generate · \d/ }).click();
	await page.waitForURL(/\/create\/[0-9a-f-]{36}$/);
	await page.unroute('**/api/v1/generations');
	assert.equal(lost, 1);
	const found = await api(page, '/generations?search=Only%20once');
	assert.equal(found.data.length, 1);
	assert.equal((await api(page, '/credits')).balance, had - found.data[0].credits);
	await badge(page, 'Completed');
	page.wrong = page.wrong.filter((w) => !/ERR_FAILED/.test(w));
	clean(page);
});

test('settings stay within what the model can do, and the price follows', async () => {
	await page.goto(`${r.url}/create`);
	await choose_model(page, 'Demo Sunset');
	const shown = () => page.locator('.price-total strong').innerText();
	const pick = (group, value) => page.getByRole('group', { name: group }).locator('label', { hasText: new RegExp(`^${value}$`) }).click();
	await pick('Duration', '8 s');
	await pick('Resolution', '1080p');
	await page.waitForFunction(() => document.querySelector('.price').getAttribute('aria-busy') === 'false');
	const asked = await page.evaluate(async () => (await (await fetch('/api/v1/estimate', { method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify({ model: 'demo-sunset', prompt: 'x', duration: 8, resolution: '1080p' }) })).json()));
	assert.equal(await shown(), String(asked.credits));
	await choose_model(page, 'Demo Pixel');
	const model = await api(page, '/models/demo-pixel');
	const offered = await page.getByRole('group', { name: 'Duration' }).locator('label').allInnerTexts();
	assert.deepEqual(offered, model.capabilities.durations.map((d) => `${d} s`));
	assert.ok(!(await page.getByRole('group', { name: 'Resolution' }).innerText()).includes('1080p'));
	clean(page);
});

test('a press while the price is being read is answered, and orders nothing', async () => {
	await page.goto(`${r.url}/create`);
	await choose_model(page, 'Demo Sunset');
	await page.locator('#prompt').fill('Too early');
	await page.getByRole('button', { name: /^Generate · \d/ }).waitFor();
	let go;
	const held = new Promise((done) => { go = done; });
	await page.route('**/api/v1/estimate', async (route) => { await held; await route.continue(); }, { times: 1 });
	await page.getByRole('group', { name: 'Duration' }).locator('label', { hasText: /^8 s$/ }).click();
	await page.locator('#prompt').press('Control+Enter');
	await page.locator('.notices').getByText('The price is being read anew').waitFor();
	go();
	await page.getByRole('button', { name: /^Generate · \d/ }).waitFor();
	assert.equal(page.url(), `${r.url}/create`);
	assert.deepEqual((await api(page, '/generations?search=Too%20early')).data, []);
	clean(page);
});

test('what is typed right after a dialog closed is not lost', async () => {
	await page.goto(`${r.url}/create`);
	await page.locator('.model-button').click();
	const card = page.locator('.model-card', { hasText: 'Demo Sunset' }).first();
	await card.waitFor();
	// Faster than any hand: the next task after the choice.
	assert.equal(await card.evaluate(async (c) => {
		c.click();
		await new Promise((done) => setTimeout(done));
		document.getElementById('prompt').focus();
		return document.activeElement.id;
	}), 'prompt');
	clean(page);
});

test('the history has posters, filters in the address, and finds words', async () => {
	await page.goto(`${r.url}/history`);
	const boat = page.locator('.tile', { hasText: 'A paper boat' }).first();
	await boat.waitFor();
	await page.waitForFunction(() => [...document.querySelectorAll('.tile .poster img')].some((i) => i.naturalWidth > 0));
	await page.getByRole('button', { name: 'Failed', exact: true }).click();
	await page.waitForURL(/status=failed/);
	await boat.waitFor({ state: 'detached' }).catch(async (e) => {
		throw new Error(`${page.url()}: ${await page.locator('main').innerText()}`, { cause: e });
	});
	assert.deepEqual(await page.locator('.tile .badge').allInnerTexts(), ['Failed']);
	await page.goto(`${r.url}/history?search=paper+boat`);
	await boat.waitFor();
	assert.equal(await page.locator('.tile:not(.ghost-tile)').count(), 1);
	await page.goto(`${r.url}/history?search=zzzz`);
	await page.getByRole('heading', { name: 'Nothing matches' }).waitFor();
	// Rolled, as people do: the second key counts only shortly after the first.
	await Promise.all([page.keyboard.press('g'), page.keyboard.press('c')]);
	await page.waitForURL(`${r.url}/create`);
	clean(page);
});

test('an image is taken, shown, and starts a video', async () => {
	await page.goto(`${r.url}/create`);
	await choose_model(page, 'Demo Canvas');
	const png = Buffer.from(await page.evaluate(() => {
		const c = document.createElement('canvas');
		c.width = 640;
		c.height = 360;
		const at = c.getContext('2d');
		at.fillStyle = '#2a7';
		at.fillRect(0, 0, 640, 360);
		return c.toDataURL('image/png').split(',')[1];
	}), 'base64');
	await page.locator('#prompt').fill('From a green picture');
	await page.locator('[data-field=start_image]').setInputFiles({ name: 'x.txt', mimeType: 'text/plain', buffer: Buffer.from('no') });
	await page.getByText('This is not an image').waitFor();
	await page.locator('[data-field=start_image]').setInputFiles({ name: 'green.png', mimeType: 'image/png', buffer: png });
	await page.waitForFunction(() => document.querySelector('.slot-image img')?.naturalWidth === 640);
	await page.getByRole('button', { name: /^Generate · \d/ }).click();
	await page.waitForURL(/\/create\/[0-9a-f-]{36}$/);
	await badge(page, 'Completed');
	assert.equal((await api(page, `/generations/${page.url().split('/').at(-1)}`)).mode, 'i2v');
	clean(page);
});

test('keys are shown once and revoked', async () => {
	await page.goto(`${r.url}/keys`);
	await page.getByRole('button', { name: 'New key' }).click();
	await page.getByLabel('Name').fill('laptop');
	await page.getByRole('button', { name: 'Make the key' }).click();
	const secret = await page.locator('dialog .command code').innerText();
	assert.match(secret, /^rld_live_/);
	const call = () => fetch(`${r.url}/api/v1/me`, { headers: { authorization: `Bearer ${secret}` } });
	assert.equal((await call()).status, 200);
	await page.getByRole('button', { name: 'I have it' }).click();
	assert.ok(!(await page.locator('main').innerHTML()).includes(secret));
	await page.getByRole('button', { name: 'Revoke laptop' }).click();
	await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
	await page.getByText('No keys yet').waitFor();
	assert.equal((await call()).status, 401);
	clean(page);
});

test('the page comes back by itself after the server was restarted', async () => {
	await page.goto(`${r.url}/history`);
	await page.locator('.connection.good').waitFor();
	await r.stop();
	await page.locator('.connection.warn').waitFor();
	await r.start({ args: ['--listen', `127.0.0.1:${r.port}`] });
	await page.locator('.connection.good').waitFor({ timeout: 60_000 });
	// And it is live again: an order of another tab is counted here.
	const tab = await page.context().newPage();
	await tab.goto(`${r.url}/create`);
	await order(tab, 'Demo Slow', 'Made in another tab');
	await page.locator('.main-nav .count').waitFor();
	await tab.locator('.side').getByRole('button', { name: 'Cancel' }).click();
	await tab.getByRole('dialog').getByRole('button', { name: 'Cancel the video' }).click();
	await page.locator('.main-nav .count').waitFor({ state: 'detached' });
	assert.deepEqual(page.wrong.filter((w) => !/WebSocket connection|ERR_CONNECTION_REFUSED/.test(w)), []);
	page.wrong = [];
});

test('signing out forgets everything', async () => {
	await page.goto(`${r.url}/credits`);
	await page.locator('.balance-card').waitFor();
	await page.locator('.avatar').click();
	await page.getByRole('button', { name: 'Sign out' }).click();
	await page.getByRole('heading', { name: 'Welcome to reeld' }).waitFor();
	await page.reload();
	await page.getByRole('heading', { name: 'Welcome to reeld' }).waitFor();
	clean(page);
});
