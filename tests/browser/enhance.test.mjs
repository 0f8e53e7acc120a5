// enhance.test.mjs - the Improve button beside the prompt: in place, undone,
// never in the way.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FakeChat } from '../fake/chat.mjs';
import { reeld } from '../it/env.mjs';
import { accessible, browser, clean, no_sideways, profile, sign_in } from './browser.mjs';

let chat, r, page;
before(async () => {
	chat = await new FakeChat().start();
	r = await reeld({ env: chat.env });
	page = await profile(await browser());
	await sign_in(page, r);
});
after(() => chat.stop());

const words = () => page.locator('#prompt').inputValue();
const improve = () => page.getByRole('button', { name: 'Improve', exact: true });
const undo = () => page.getByRole('button', { name: 'Undo' });
const becomes = (text) => page.waitForFunction((t) => document.querySelector('#prompt').value === t, text);

test('the text is replaced in place, and comes back', async () => {
	await improve().waitFor();
	assert.equal(await improve().isDisabled(), true, 'nothing to improve yet');
	await page.locator('#prompt').fill('a fox');
	chat.barrier();
	await improve().click();
	await chat.reached();
	const busy = page.getByRole('button', { name: 'Improving…' });
	await busy.waitFor();
	assert.equal(await busy.isDisabled(), true);
	assert.equal(await busy.getAttribute('aria-busy'), 'true');
	assert.equal(await words(), 'a fox');
	chat.release();
	await becomes('a fox, in golden light');
	await accessible(page, 'an improved prompt');
	await undo().click();
	await becomes('a fox');
	assert.equal(await undo().count(), 0);
	assert.equal(chat.asked.length, 1);
	// Once more, and written on: there is nothing to undo any more.
	await improve().click();
	await becomes('a fox, in golden light');
	await undo().waitFor();
	await page.locator('#prompt').press('End');
	await page.locator('#prompt').pressSequentially('!');
	await undo().waitFor({ state: 'detached' });
	clean(page);
});

test('written on while it works: the words stay', async () => {
	await page.locator('#prompt').fill('a hare');
	chat.barrier();
	await improve().click();
	await chat.reached();
	await page.locator('#prompt').fill('a hare and a hedgehog');
	chat.release();
	await page.getByText('You wrote on meanwhile').waitFor();
	assert.equal(await words(), 'a hare and a hedgehog');
	clean(page);
});

test('a language model that fails: the words stay, and it is said', async () => {
	chat.on('a newt', 500);
	await page.locator('#prompt').fill('a newt');
	await improve().click();
	await page.getByText('No better words came back').waitFor();
	assert.equal(await words(), 'a newt');
	assert.equal(await undo().count(), 0);
	clean(page);
});

test('on a phone nothing sticks out; without an enhancer there is no button', async () => {
	await page.setViewportSize({ width: 360, height: 800 });
	await page.locator('#prompt').fill('an owl');
	await improve().click();
	await becomes('an owl, in golden light');
	await undo().waitFor();
	await no_sideways(page, 'an improved prompt on a phone');
	await r.restart({ env: { REELD_ENHANCE_MODEL: '' } });
	await page.goto(`${r.url}/create`);
	await page.locator('#prompt').waitFor();
	await page.waitForLoadState('networkidle');
	assert.equal(await improve().count(), 0);
	clean(page);
});
