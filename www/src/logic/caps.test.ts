import { expect, test } from 'vitest';
import type { Capabilities, Model } from '../types';
import { body, bound, durations, emptyForm, endImage, missing, startImage } from './caps';

const model = (capabilities: Capabilities, modes = ['t2v']): Model => ({
	slug: 'm', name: 'M', description: '', provider: 'p', category: '', tags: [], modes, capabilities,
	premium: false, default: false, deprecated: false, experimental: false, available: true,
	unavailable_reason: null, from_credits: 1, stats: null,
});

test('durations come as a list, bounds, or one', () => {
	expect(durations({ durations: [5, 10] })).toEqual([5, 10]);
	expect(durations({ durations: { list: [4, 8] } })).toEqual([4, 8]);
	expect(durations({ durations: { min: 3, max: 5, step: 1 } })).toEqual([3, 4, 5]);
	expect(durations({ durations: { min: 1, max: 2, step: .5 } })).toEqual([1, 1.5, 2]);
	expect(durations({ durations: { fixed: 6 } })).toEqual([6]);
	expect(durations({})).toEqual([]);
	expect(durations({ durations: { min: 0, max: 1e9, step: 0 } })).toHaveLength(200);
});

test('a form moves to the nearest values that the model has', () => {
	const m = model({ durations: [4, 8], resolutions: ['480p', '720p'], aspect_ratios: ['16:9'], audio: 'none',
		fps: [24], defaults: { resolution: '720p' } });
	const f = bound({ ...emptyForm, duration: 7, resolution: '4k', aspect_ratio: '9:16', audio: true, seed: '5',
		negative_prompt: 'blur', start_image: 'a', end_image: 'b' }, m);
	expect(f).toMatchObject({ model: 'm', duration: 8, resolution: '720p', aspect_ratio: '16:9', audio: false, seed: '',
		negative_prompt: '', start_image: null, end_image: null });
});

test('a fresh form takes the defaults, and sound where it is forced', () => {
	const f = bound(emptyForm, model({ durations: [3, 5, 8], resolutions: ['480p'], audio: 'always', defaults: { duration: 5 } }));
	expect(f).toMatchObject({ duration: 5, resolution: '480p', audio: true });
});

test('images are needed where there is no other way', () => {
	expect(startImage(model({}, ['i2v']))).toBe('required');
	expect(startImage(model({}, ['t2v', 'i2v']))).toBe('optional');
	expect(startImage(model({}, ['t2v']))).toBe('none');
	expect(startImage(model({ start_image: true }, ['i2v']))).toBe('required');
	expect(startImage(model({ start_image: 'optional' }, ['i2v']))).toBe('optional');
	expect(endImage(model({ end_image: true }))).toBe('optional');
	expect(endImage(model({}))).toBe('none');
});

test('what is missing is said by field', () => {
	const m = model({ max_prompt: 5, seed: true }, ['i2v']);
	expect(Object.keys(missing({ ...emptyForm, seed: 'x' }, m)).sort()).toEqual(['prompt', 'seed', 'start_image']);
	expect(missing({ ...emptyForm, prompt: '123456', start_image: 'a' }, m).prompt).toMatch(/5 characters/);
	expect(missing({ ...emptyForm, prompt: '😀😀😀😀😀', start_image: 'a', seed: '7' }, m)).toEqual({});
});

test('the body has what was chosen and nothing else', () => {
	const m = model({ durations: [5], audio: 'optional', seed: true, fps: [24, 30] });
	const f = bound({ ...emptyForm, prompt: ' hi ', seed: '0', fps: 30 }, m);
	expect(body(f, m)).toEqual({ model: 'm', prompt: 'hi', duration: 5, audio: false, seed: 0, fps: 30 });
	expect(body(bound({ ...emptyForm, prompt: 'hi' }, model({})), model({}))).toEqual({ model: 'm', prompt: 'hi' });
});
