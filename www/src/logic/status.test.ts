import { expect, test } from 'vitest';
import type { GenEvent, Model } from '../types';
import { cancelText, ended, label, mayCancel, progress, refundLine, shape, statuses, timeline, waiting } from './status';

test('every status has a word, and three of them are the end', () => {
	for (const s of statuses) expect(label(s)).not.toBe('');
	expect(statuses.filter(ended)).toEqual(['completed', 'failed', 'cancelled']);
	expect(label('something_new')).toBe('something new');
});

test('progress is shown as what it is', () => {
	expect(progress({ status: 'processing', progress: 40, progress_basis: 'real' })).toEqual({ percent: 40, text: '40 %' });
	expect(progress({ status: 'processing', progress: 40, progress_basis: 'estimated' }).text).toMatch(/estimated/);
	expect(progress({ status: 'processing', progress: 40, progress_basis: 'none' }).percent).toBeNull();
	expect(progress({ status: 'processing', progress: null, progress_basis: 'real' }).percent).toBeNull();
	expect(progress({ status: 'processing', progress: 140, progress_basis: 'real' }).percent).toBe(100);
	expect(progress({ status: 'completed', progress: null, progress_basis: 'none' }).percent).toBe(100);
});

test('who is slow is named', () => {
	const queue = { position: 3, provider_position: null, eta_low_s: null, eta_high_s: null };
	expect(waiting({ status: 'queued', provider: 'fal', queue })).toMatch(/Number 3/);
	expect(waiting({ status: 'processing', provider: 'fal', queue: { ...queue, provider_position: 12654 } })).toMatch(/12,654 .*provider is busy/s);
	expect(waiting({ status: 'processing', provider: 'fal', queue })).toBeNull();
	expect(waiting({ status: 'queued', provider: 'fal', queue: null })).toBeNull();
	expect(waiting({ status: 'queued', provider: 'fal', queue, waiting_reason: 'No account can take it now.' })).toBe('No account can take it now.');
	expect(waiting({ status: 'processing', provider: 'fal', queue, waiting_reason: 'No account can take it now.' })).toBeNull();
});

test('cancelling says what the policy is', () => {
	const m = (caps: object) => ({ capabilities: caps }) as Model;
	expect(cancelText({ status: 'queued', credits: 10 }, m({ cancel: false }))).toMatch(/all 10 credits come back at once/);
	expect(cancelText({ status: 'processing', credits: 10 }, m({ cancel: false }))).toMatch(/can't stop/);
	expect(cancelText({ status: 'processing', credits: 10 }, m({ cancel: true, bills_on_cancel: true }))).toMatch(/may not come back/);
	expect(cancelText({ status: 'processing', credits: 10 }, null)).toMatch(/confirms/);
});

test('the refund line tells the truth', () => {
	const charge = (credits: number, refunded: number, state = 'settled') => ({ state, credits, refunded, settled: null });
	expect(refundLine({ status: 'failed', charge: charge(10, 10) })).toMatch(/^Refunded 10 credits/);
	expect(refundLine({ status: 'cancelled', charge: charge(10, 4) })).toBe('Refunded 4 credits of 10 credits.');
	expect(refundLine({ status: 'failed', charge: charge(10, 0) })).toMatch(/No credits/);
	expect(refundLine({ status: 'failed', charge: charge(10, 0, 'charged') })).toBeNull();
	expect(refundLine({ status: 'completed', charge: charge(10, 0) })).toBeNull();
	expect(refundLine({ status: 'failed', charge: null })).toBeNull();
});

test('a timeline has each state once, with how long it took', () => {
	const e = (seq: number, type: string, at: number, data: object = {}): GenEvent =>
		({ seq, type: `generation.${type}`, version: seq, data, created_at: at });
	const steps = timeline([
		e(3, 'processing', 3000, { status: 'processing', stage: 'generate' }),
		e(1, 'queued', 1000, { status: 'queued' }),
		e(4, 'progress', 4000, { status: 'processing' }),
		e(5, 'completed', 9000, { status: 'completed' }),
		e(2, 'queued', 1500, { status: 'queued' }),
	], 500);
	expect(steps.map(s => [s.label, s.took])).toEqual([
		['Accepted', 500], ['Queued', 2000], ['Generating', 6000], ['Completed', null]]);
	expect(timeline([], null)).toEqual([]);
});

test('what has begun to be stored, or ended, is not cancelled', () => {
	expect([...statuses, 'something new'].filter(mayCancel).sort()).toEqual(
		['awaiting_approval', 'draft', 'pending', 'processing', 'queued']);
});

test('the shape of a video is known before it is there', () => {
	expect(shape({ video: null, spec: { aspect_ratio: '9:16' } })).toEqual([9, 16]);
	expect(shape({ video: null, spec: { aspect_ratio: 'auto' } })).toEqual([16, 9]);
	expect(shape({ video: { width: 640, height: 360 } as never, spec: {} })).toEqual([640, 360]);
});
