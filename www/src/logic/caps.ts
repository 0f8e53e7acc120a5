// caps.ts - what a model can do, and a form's values kept within it.
import type { Capabilities, Model } from '../types';

export interface Form {
	model: string;
	prompt: string;
	negative_prompt: string;
	duration: number | null;
	resolution: string | null;
	aspect_ratio: string | null;
	fps: number | null;
	audio: boolean;
	seed: string;
	start_image: string | null;
	end_image: string | null;
	title: string;
}

export const emptyForm: Form = {
	model: '', prompt: '', negative_prompt: '', duration: null, resolution: null,
	aspect_ratio: null, fps: null, audio: false, seed: '', start_image: null,
	end_image: null, title: '',
};

export function durations(caps: Capabilities): number[] {
	const d = caps.durations;
	if (!d) return [];
	if (Array.isArray(d)) return d;
	if (d.list) return d.list;
	if (d.fixed !== undefined) return [d.fixed];
	if (d.min === undefined || d.max === undefined) return [];
	const out: number[] = [];
	const step = d.step && d.step > 0 ? d.step : 1;
	for (let v = d.min; v <= d.max + 1e-9 && out.length < 200; v += step) out.push(Math.round(v * 1000) / 1000);
	return out;
}

export type Need = 'none' | 'optional' | 'required';

function modes(model: Model): string[] {
	return model.modes ?? model.capabilities.modes ?? [];
}

export function startImage(model: Model): Need {
	const said = model.capabilities.start_image;
	if (said === true) return modes(model).includes('t2v') ? 'optional' : 'required';
	if (said === 'optional' || said === 'required' || said === 'none') return said;
	if (!modes(model).includes('i2v')) return 'none';
	return modes(model).includes('t2v') ? 'optional' : 'required';
}

export function endImage(model: Model): Need {
	const said = model.capabilities.end_image;
	if (said === true) return 'optional';
	return said === 'optional' || said === 'required' ? said : 'none';
}

export function maxPrompt(model: Model): number {
	return model.capabilities.max_prompt ?? 4000;
}

function nearest(values: readonly number[], wanted: number | null | undefined): number | null {
	if (!values.length) return null;
	if (wanted === null || wanted === undefined) return values[0]!;
	return values.reduce((best, v) => (Math.abs(v - wanted) < Math.abs(best - wanted) ? v : best), values[0]!);
}

function among(values: readonly string[] | undefined, wanted: string | null, fallback?: string): string | null {
	if (!values?.length) return null;
	if (wanted !== null && values.includes(wanted)) return wanted;
	return fallback !== undefined && values.includes(fallback) ? fallback : values[0]!;
}

// The form with every setting that the model can't do moved to the nearest
// one it can.
export function bound(form: Form, model: Model): Form {
	const caps = model.capabilities;
	const start = startImage(model) === 'none' ? null : form.start_image;
	return {
		...form,
		model: model.slug,
		duration: nearest(durations(caps), form.duration ?? caps.defaults?.duration),
		resolution: among(caps.resolutions, form.resolution, caps.defaults?.resolution),
		aspect_ratio: among(caps.aspect_ratios, form.aspect_ratio, caps.defaults?.aspect_ratio),
		fps: caps.fps?.length ? nearest(caps.fps, form.fps ?? caps.defaults?.fps) : null,
		audio: caps.audio === 'always' || (caps.audio === 'optional' && form.audio),
		seed: caps.seed ? form.seed : '',
		negative_prompt: caps.negative_prompt ? form.negative_prompt : '',
		start_image: start,
		end_image: endImage(model) === 'none' ? null : form.end_image,
	};
}

// The body of POST /estimate and /generations; what is left out is the
// model's own default.
export function body(form: Form, model: Model): Record<string, unknown> {
	const caps = model.capabilities;
	const out: Record<string, unknown> = { model: form.model, prompt: form.prompt.trim() };
	if (form.duration !== null) out.duration = form.duration;
	if (form.resolution !== null) out.resolution = form.resolution;
	if (form.aspect_ratio !== null) out.aspect_ratio = form.aspect_ratio;
	if (form.fps !== null && (caps.fps?.length ?? 0) > 1) out.fps = form.fps;
	if (caps.audio === 'optional') out.audio = form.audio;
	if (form.seed.trim() !== '') out.seed = Number(form.seed);
	if (form.negative_prompt.trim()) out.negative_prompt = form.negative_prompt.trim();
	if (form.start_image) out.start_image = form.start_image;
	if (form.end_image) out.end_image = form.end_image;
	if (form.title.trim()) out.title = form.title.trim();
	return out;
}

// What is still missing, by field; empty: ready to go.
export function missing(form: Form, model: Model): Partial<Record<keyof Form, string>> {
	const out: Partial<Record<keyof Form, string>> = {};
	const length = [...form.prompt.trim()].length;
	if (!length) out.prompt = 'Describe the video you want.';
	else if (length > maxPrompt(model)) out.prompt = `This model takes ${maxPrompt(model).toLocaleString('en')} characters at most.`;
	if (startImage(model) === 'required' && !form.start_image) out.start_image = 'This model starts from an image: add one.';
	if (endImage(model) === 'required' && !form.end_image) out.end_image = 'This model needs an end image too.';
	if (form.seed.trim() && !/^\d{1,10}$/.test(form.seed.trim())) out.seed = 'A seed is a whole number.';
	return out;
}
