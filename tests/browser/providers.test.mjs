// providers.test.mjs - the page of the providers, on a real reeld with a fake
// fal: what an admin sees, tests, pauses and adds.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fakeFal, reeld } from '../it/env.mjs';
import { accessible, api, browser, clean, no_sideways, profile, sign_in } from './browser.mjs';

const dir = mkdtempSync(join(tmpdir(), 'reeld-master-'));
after(() => rmSync(dir, { recursive: true }));
let r, page;
before(async () => {
	writeFileSync(join(dir, 'master'), randomBytes(32), { mode: 0o600 });
	const fal = await fakeFal();
	r = await reeld({ env: { ...fal.env, REELD_PROVIDER_FAL_KEY: 'fal-id:fal-secret-9876', REELD_SECRETS_MASTER_KEY_FILE: join(dir, 'master') } });
	page = await profile(await browser());
	await sign_in(page, r);
});

const card = () => page.locator('.provider', { has: page.getByRole('heading', { name: /^fal\.ai/ }) });
const row = (label) => card().locator('.account', { hasText: label });

test('a provider with a key works, and a test says so without ordering', async () => {
	await page.goto(`${r.url}/admin/providers`);
	await row('default').getByText('Working').waitFor();
	assert.match(await row('default').innerText(), /key …9876 from the environment/);
	await row('default').getByRole('button', { name: 'Test' }).click();
	await row('default').getByText(/It answers in .* and the key is good/).waitFor();
	await page.getByRole('heading', { name: 'Waiting for a key' }).waitFor();
	await page.locator('.bare').getByText(/^Runway \d/).waitFor();
	assert.ok(!(await page.content()).includes('fal-secret'));
	await accessible(page, 'providers');
	clean(page);
});

test('an account is added with a key that is never shown again, edited and removed', async () => {
	const secret = `second:${randomBytes(9).toString('hex')}`;
	await card().getByRole('button', { name: 'Account' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel('Name, for people').fill('team-b');
	await dialog.getByLabel('Key', { exact: true }).fill(secret);
	await dialog.getByLabel('Per minute').fill('5');
	await accessible(page, 'the form of an account');
	await dialog.getByRole('button', { name: 'Add the account' }).click();
	await row('team-b').getByText('Working').waitFor();
	await row('team-b').getByText(`key …${secret.slice(-4)} stored encrypted`).waitFor();
	await row('team-b').getByText('5 per minute').waitFor();
	assert.ok(!(await page.content()).includes(secret));

	await row('team-b').getByRole('button', { name: 'Edit' }).click();
	await dialog.getByLabel('Per minute').fill('');
	await dialog.getByLabel('Weight').fill('3');
	await dialog.getByRole('button', { name: 'Change' }).click();
	await row('team-b').getByText('weight 3').waitFor();
	const two = (await api(page, '/admin/providers/fal')).accounts.find((a) => a.label === 'team-b');
	assert.deepEqual([two.weight, two.limits.rpm, two.key.source], [3, null, 'stored']);

	await row('team-b').getByRole('button', { name: 'Remove team-b of fal.ai' }).click();
	await dialog.getByRole('button', { name: 'Remove it' }).click();
	await row('team-b').waitFor({ state: 'detached' });
	clean(page);
});

test('what the server refuses is said at the field', async () => {
	await card().getByRole('button', { name: 'Account' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel('Name, for people').fill('default');
	await dialog.getByLabel('Key', { exact: true }).fill('some:key');
	await dialog.getByRole('button', { name: 'Add the account' }).click();
	await dialog.getByText('has an account of that label already').first().waitFor();
	await dialog.getByRole('button', { name: 'Close' }).last().click();
	await dialog.waitFor({ state: 'hidden' });
	clean(page);
});

test('a pause says why and for how long, and is resumed', async () => {
	await card().getByRole('button', { name: 'Pause all' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByText('15 minutes').click();
	await dialog.getByLabel('Reason').fill('their status page is red');
	await dialog.getByRole('button', { name: 'Pause', exact: true }).click();
	await card().getByRole('button', { name: 'Resume' }).first().waitFor();
	await card().getByText(/their status page is red/).first().waitFor();
	assert.equal((await api(page, '/admin/providers/fal')).state, 'paused');
	await card().getByRole('button', { name: 'Resume' }).first().click();
	await card().getByRole('button', { name: 'Pause all' }).waitFor();
	await page.setViewportSize({ width: 360, height: 800 });
	await no_sideways(page, 'providers');
	clean(page);
});
