// status.ts - what the states of a generation mean to people.
import type { GenEvent, Generation, Model, Status, Time } from '../types';
import { credits, ms } from './format';

export type Tone = 'idle' | 'busy' | 'good' | 'bad' | 'warn';

const words: Record<Status, [label: string, tone: Tone]> = {
	draft: ['Draft', 'idle'],
	pending: ['Waiting', 'idle'],
	queued: ['Queued', 'idle'],
	processing: ['Generating', 'busy'],
	awaiting_approval: ['Awaiting approval', 'warn'],
	finalizing: ['Finishing', 'busy'],
	completed: ['Completed', 'good'],
	failed: ['Failed', 'bad'],
	cancelling: ['Cancelling', 'warn'],
	cancelled: ['Cancelled', 'idle'],
	review: ['In review', 'warn'],
};

export const statuses = Object.keys(words) as Status[];

export function label(status: string): string {
	return words[status as Status]?.[0] ?? status.replaceAll('_', ' ');
}

export function tone(status: string): Tone {
	return words[status as Status]?.[1] ?? 'idle';
}

export function ended(status: string): boolean {
	return status === 'completed' || status === 'failed' || status === 'cancelled';
}

// The server says so too (`can`), but only when it is read; an event moves the
// status before that.
export function mayCancel(status: string): boolean {
	return ['draft', 'pending', 'queued', 'processing', 'awaiting_approval'].includes(status);
}

const stages: Record<string, string> = {
	submit: 'Handing over to the provider',
	generate: 'The model is drawing frames',
	download: 'Fetching the result',
	store: 'Storing the video and its poster',
	enhance: 'Improving the prompt',
	preview: 'Making a preview',
};

// The same in one or two words, for a timeline.
const shortStages: Record<string, string> = {
	submit: 'Sent to the provider', generate: 'Generating', download: 'Fetching the result',
	store: 'Storing', enhance: 'Improving the prompt', preview: 'Preview',
};

export function stage(generation: Pick<Generation, 'stage' | 'status'>): string {
	switch (generation.status) {
	case 'pending': return 'Accepted: it starts when one of your running videos ends';
	case 'queued': return 'Ready: it waits for a free place';
	case 'awaiting_approval': return 'The preview waits for your approval';
	case 'cancelling': return 'Asked to stop: waiting for the provider to confirm';
	case 'review': return 'The outcome is uncertain. A person will look at it; nothing is lost';
	default: return stages[generation.stage ?? ''] ?? 'Working on it';
	}
}

// The bar of a generation: percent null means that nobody knows.
export function progress(g: Pick<Generation, 'status' | 'progress' | 'progress_basis'>): { percent: number | null; text: string } {
	if (g.status === 'completed') return { percent: 100, text: 'Done' };
	if (g.progress_basis === 'none' || g.progress === null || g.progress === undefined)
		return { percent: null, text: 'This provider does not report progress' };
	const percent = Math.max(0, Math.min(100, Math.round(g.progress)));
	return g.progress_basis === 'real'
		? { percent, text: `${percent} %` }
		: { percent, text: `about ${percent} %, estimated from earlier runs` };
}

// Who is slow, in words; null when nothing is known.
export function waiting(g: Pick<Generation, 'queue' | 'status' | 'provider' | 'waiting_reason'>): string | null {
	if (g.waiting_reason && g.status === 'queued') return g.waiting_reason;
	const q = g.queue;
	if (!q) return null;
	const many = (n: number) => n.toLocaleString('en');
	if (q.provider_position !== null && q.provider_position !== undefined && q.provider_position > 0)
		return `${many(q.provider_position)} ${q.provider_position === 1 ? 'job is' : 'jobs are'} ahead of yours at the provider. The provider is busy, not this server.`;
	if (q.position !== null && q.position !== undefined && (g.status === 'queued' || g.status === 'pending'))
		return q.position <= 1 ? 'Yours is next.' : `Number ${many(q.position)} in this server's queue.`;
	return null;
}

// What a cancel does to the credits now, by the state and the model's policy.
export function cancelText(g: Pick<Generation, 'status' | 'credits'>, model: Model | null | undefined): string {
	const all = `all ${credits(g.credits)}`;
	if (g.status === 'pending' || g.status === 'queued')
		return `It has not started: ${all} come back at once.`;
	const caps = model?.capabilities;
	if (caps?.cancel === false)
		return `This provider can't stop a running job. If it finishes all the same you get the video and pay for it; if not, ${all} come back.`;
	if (caps?.bills_on_cancel)
		return 'The provider bills stopped jobs, so the credits may not come back in full. The receipt will say what was refunded.';
	return `The provider is asked to stop. When it confirms, ${all} come back; if the video is already finished you get it and pay for it.`;
}

export function retryText(g: Pick<Generation, 'credits' | 'charge' | 'status'>): string {
	const back = g.charge?.refunded ?? 0;
	return back > 0
		? `${credits(back)} came back. Trying again costs ${credits(g.credits)}, as a new generation with the same settings.`
		: `Trying again costs ${credits(g.credits)}, as a new generation with the same settings.`;
}

// "refunded 10 credits", or null when there was no charge to give back.
export function refundLine(g: Pick<Generation, 'charge' | 'status'>): string | null {
	const c = g.charge;
	if (!c || (g.status !== 'failed' && g.status !== 'cancelled')) return null;
	if (c.refunded >= c.credits) return `Refunded ${credits(c.refunded)}: this cost you nothing.`;
	if (c.refunded > 0) return `Refunded ${credits(c.refunded)} of ${credits(c.credits)}.`;
	// An event told of the end before the charge was read again.
	if (c.state === 'charged') return null;
	return c.credits > 0 ? 'No credits were refunded. The receipt says why.' : null;
}

export interface Step {
	key: string;
	label: string;
	at: number;
	// until the next step; null: it is the last one
	took: number | null;
	tone: Tone;
}

const notSteps = new Set(['generation.progress', 'generation.updated', 'generation.position']);

// The moves of a generation in order, each with how long it lasted.
export function timeline(events: readonly GenEvent[], created?: Time | null): Step[] {
	const steps: Step[] = [];
	const start = ms(created);
	if (start !== null && !events.some(e => e.type === 'generation.created'))
		steps.push({ key: 'start', label: 'Accepted', at: start, took: null, tone: 'idle' });
	for (const e of [...events].sort((a, b) => a.seq - b.seq)) {
		const at = ms(e.created_at);
		if (at === null || notSteps.has(e.type)) continue;
		const word = e.data?.status ?? e.type.replace(/^generation\./, '');
		const where = (word === 'processing' || word === 'finalizing') && e.data?.stage ? shortStages[e.data.stage] : undefined;
		const name = e.type === 'generation.created' ? 'Accepted' : where ?? label(word);
		const last = steps.at(-1);
		if (last?.label === name) continue;
		steps.push({ key: String(e.seq), label: name, at, took: null, tone: tone(word) });
	}
	for (let i = 0; i + 1 < steps.length; i++) steps[i]!.took = steps[i + 1]!.at - steps[i]!.at;
	return steps;
}

// Width and height to keep free for a video that is not there yet.
export function shape(g: Pick<Generation, 'video' | 'spec'>): [number, number] {
	if (g.video?.width && g.video.height) return [g.video.width, g.video.height];
	const m = /^(\d+):(\d+)$/.exec(g.spec?.aspect_ratio ?? '');
	return m && Number(m[1]) && Number(m[2]) ? [Number(m[1]), Number(m[2])] : [16, 9];
}
