// create.tsx - a prompt, a model, its settings within what it can do, and what
// it will cost, live.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { call, once, problem, type Problem } from '../api';
import { body, bound, durations, emptyForm, endImage, maxPrompt, missing, startImage, type Form } from '../logic/caps';
import { ended } from '../logic/status';
import { active, balance, loadModels, me, models, tell } from '../store';
import type { Estimate, Generation, Model } from '../types';
import { Icon } from '../ui/icon';
import { ImageSlot } from '../ui/image-slot';
import { Improve } from '../ui/improve';
import { Skeleton, Trouble, useTitle } from '../ui/kit';
import { ModelPicker } from '../ui/model-picker';
import { Price } from '../ui/price';
import { Running } from '../ui/running';
import { useLater } from '../ui/use';

const DRAFT = 'reeld.draft';

function draft(): Form {
	try {
		return { ...emptyForm, ...JSON.parse(sessionStorage.getItem(DRAFT) ?? '{}') };
	} catch { return emptyForm; }
}

function firstModel(all: readonly Model[], wanted: string): Model | undefined {
	return all.find(m => m.slug === wanted)
		?? all.find(m => m.default && m.available)
		?? all.find(m => m.available && m.modes.includes('t2v') && !m.experimental)
		?? all.find(m => m.available) ?? all[0];
}

const ideas = [
	'A paper boat crossing a rain puddle at dusk, city lights rippling, slow tracking shot',
	'Dawn over terraced hills, mist lifting, camera rising above the valley',
	'A tiny robot watering a plant on a windowsill, soft morning light, shallow focus',
];

// What the price depends on.  The words do not change it; that there are some
// may be required.
function priced(form: Form, model: Model): string {
	return JSON.stringify({ ...body(form, model), prompt: 'x', title: undefined });
}

function useEstimate(form: Form, model: Model | undefined) {
	const [estimate, setEstimate] = useState<Estimate | null>(null);
	const [wrong, setWrong] = useState<Problem | null>(null);
	const asked = model ? priced(form, model) : '';
	const settled = useLater(asked, 200);
	const [of, setOf] = useState('');
	useEffect(() => {
		if (!settled) return;
		const stop = new AbortController();
		call<Estimate>('POST', '/estimate', { body: JSON.parse(settled), signal: stop.signal })
			.then(e => { setEstimate(e); setWrong(null); setOf(settled); })
			.catch(e => { if (!stop.signal.aborted) { setEstimate(null); setWrong(problem(e)); setOf(settled); } });
		return () => stop.abort();
	}, [settled]);
	// Until then the number on the page is the price of something else.
	return { estimate, wrong, busy: asked !== of };
}

function Choices<T extends string | number>({ legend, values, value, set, word, shape }: {
	legend: string; values: readonly T[]; value: T | null; set: (v: T) => void;
	word?: (v: T) => string; shape?: boolean;
}) {
	if (!values.length) return null;
	return (
		<fieldset class="choices">
			<legend>{legend}</legend>
			<div>
				{values.map(v => (
					<label key={v}>
						<input type="radio" name={legend} checked={v === value} onChange={() => set(v)} />
						<span>{shape && <Ratio of={String(v)} />}{word ? word(v) : v}</span>
					</label>
				))}
			</div>
		</fieldset>
	);
}

function Ratio({ of }: { of: string }) {
	const [w = 1, h = 1] = of.split(':').map(Number);
	const scale = 16 / Math.max(w, h);
	return <i class="ratio" aria-hidden="true" style={{ width: `${w * scale}px`, height: `${h * scale}px` }} />;
}

export default function Create() {
	useTitle('Create');
	const { route } = useLocation();
	const [form, show] = useState(draft);
	// What was typed counts at once, not from the next rendering on: a key
	// pressed right after the last letter orders these words, not the last
	// ones; and a reload finds them.
	const latest = useRef(form);
	const setForm = (next: Form) => {
		latest.current = next;
		try { sessionStorage.setItem(DRAFT, JSON.stringify(next)); } catch { /* off */ }
		show(next);
	};
	const [picking, setPicking] = useState(false);
	const [listWrong, setListWrong] = useState<Problem | null>(null);
	const [wrong, setWrong] = useState<Problem | null>(null);
	const [tried, setTried] = useState(false);
	const [busy, setBusy] = useState(false);
	const load = () => {
		setListWrong(null);
		loadModels(true).catch(e => setListWrong(problem(e)));
	};
	useEffect(load, []);

	const model = useMemo(() => models.value && firstModel(models.value, form.model) || undefined, [models.value, form.model]);
	const now = model ? bound(form, model) : form;
	const { estimate, wrong: priceWrong, busy: pricing } = useEstimate(now, model);
	const set = (values: Partial<Form>) => {
		setForm({ ...(model ? bound(latest.current, model) : latest.current), ...values });
		setWrong(null);
	};

	const gaps = model ? missing(now, model) : {};
	const errors: Partial<Record<string, string>> = { ...(tried ? gaps : {}), ...(wrong?.fields ?? {}) };
	const poor = estimate !== null && balance.value !== null && estimate.credits > balance.value;

	const submit = async (e: Event) => {
		e.preventDefault();
		if (!model || busy) return;
		setTried(true);
		const wanted = bound(latest.current, model);
		const first = Object.keys(missing(wanted, model))[0];
		if (first) {
			document.querySelector<HTMLElement>(`[data-field=${first}]`)?.focus();
			return;
		}
		// The price on the page must be the price of just this; and nobody
		// presses in vain without being told.
		if (pricing || priced(wanted, model) !== priced(now, model)) {
			tell('The price is being read anew: look at it, then press again.');
			return;
		}
		if (!estimate || poor) return;
		setBusy(true);
		setWrong(null);
		try {
			// Never more than what the page says.
			const made = await once<Generation>('create', '/generations',
				{ ...body(wanted, model), max_credits: estimate.credits });
			if (made.status === 'pending') tell('Accepted. It starts when one of your running videos ends.');
			if (!active.value.some(g => g.id === made.id) && !ended(made.status)) active.value = [made, ...active.value];
			setForm({ ...wanted, title: '' });
			route(`/create/${made.id}`);
		} catch (failure) {
			setWrong(problem(failure));
			setBusy(false);
		}
	};

	if (listWrong && !models.value) return <div class="page"><Trouble of={listWrong} again={load} /></div>;
	if (!models.value) return <div class="page create"><Skeleton class="tall" lines={3} /><Skeleton lines={4} /></div>;
	if (!model) {
		return (
			<div class="page"><div class="empty"><h1>No models yet</h1>
				<p>The catalogue is empty. An admin can load it with <code>reeld models init</code>.</p></div></div>
		);
	}
	const caps = model.capabilities;
	const limit = maxPrompt(model);
	const used = [...now.prompt].length;
	const startNeed = startImage(model), endNeed = endImage(model);
	const price = <Price estimate={estimate} busy={pricing} poor={poor} />;
	return (
		<div class="page">
			<header class="page-head">
				<h1>What should we film{me.value?.name ? `, ${me.value.name.split(' ')[0]}` : ''}?</h1>
			</header>
			<form class="create" onSubmit={submit} noValidate>
				<div class="stack">
					<section class={`card composer ${errors.prompt ? 'invalid' : ''}`} aria-label="Prompt">
						<label class="hidden" for="prompt">Prompt</label>
						<textarea id="prompt" data-field="prompt" rows={5} value={now.prompt} maxLength={limit * 2}
							placeholder="Describe the scene, the light and how the camera moves…"
							aria-invalid={errors.prompt ? 'true' : undefined} aria-describedby="prompt-note"
							onInput={e => set({ prompt: e.currentTarget.value })}
							onKeyDown={e => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) void submit(e); }} />
						<div class="composer-foot">
							<p id="prompt-note" class={errors.prompt || used > limit ? 'error' : 'muted small'}>
								{errors.prompt ?? (used > limit * 0.8 ? `${used.toLocaleString('en')} of ${limit.toLocaleString('en')} characters` : <span class="hint">Ctrl + Enter generates</span>)}
							</p>
							<Improve prompt={now.prompt} negative={caps.negative_prompt ? now.negative_prompt : ''} model={model.slug} set={prompt => set({ prompt })} />
						</div>
						{!now.prompt && (
							<div class="ideas">
								{ideas.map(idea => (
									<button key={idea} type="button" class="chip" onClick={() => set({ prompt: idea })}>{idea.split(',')[0]}</button>
								))}
							</div>
						)}
					</section>

					{startNeed !== 'none' && (
						<section class="card" aria-label="Images">
							<div class="slots">
								<ImageSlot label={startNeed === 'required' ? 'Start image' : 'Start image (optional)'} purpose="start" field="start_image"
									id={now.start_image} error={errors.start_image} set={id => set({ start_image: id })} />
								{endNeed !== 'none' && (
									<ImageSlot label={endNeed === 'required' ? 'End image' : 'End image (optional)'} purpose="end" field="end_image"
										id={now.end_image} error={errors.end_image} set={id => set({ end_image: id })} />
								)}
							</div>
						</section>
					)}

					<section class="card stack" aria-labelledby="settings">
						<h2 id="settings" class="section-title"><Icon name="settings-2" />Settings</h2>
						<button type="button" class="model-button" aria-haspopup="dialog" onClick={() => setPicking(true)}>
							<span class="model-mark" aria-hidden="true"><Icon name="film" size={20} /></span>
							<span class="grow">
								<strong>{model.name}</strong>
								<span class="muted small">{model.description || model.provider_name || model.provider}</span>
							</span>
							<span class="muted small nowrap">Change</span><Icon name="chevron-down" />
						</button>
						{!model.available && (
							<p class="note warn"><Icon name="triangle-alert" />{model.unavailable_reason ?? 'This model is not available now.'}</p>
						)}
						<Choices legend="Duration" values={durations(caps)} value={now.duration} set={duration => set({ duration })} word={v => `${v} s`} />
						<Choices legend="Resolution" values={caps.resolutions ?? []} value={now.resolution} set={resolution => set({ resolution })} />
						<Choices legend="Aspect ratio" values={caps.aspect_ratios ?? []} value={now.aspect_ratio} set={aspect_ratio => set({ aspect_ratio })} shape />
						{caps.audio === 'optional' && (
							<label class="switch">
								<input type="checkbox" role="switch" checked={now.audio} onChange={e => set({ audio: e.currentTarget.checked })} />
								<span><Icon name="volume-2" />Sound</span>
							</label>
						)}
						{caps.audio === 'always' && <p class="muted small">This model always makes sound.</p>}
						<details class="advanced">
							<summary>More settings<Icon name="chevron-down" /></summary>
							<div class="stack">
								{caps.negative_prompt && (
									<label class="field"><span>Leave out</span>
										<input value={now.negative_prompt} placeholder="blur, text, watermark" onInput={e => set({ negative_prompt: e.currentTarget.value })} />
									</label>
								)}
								<Choices legend="Frames per second" values={(caps.fps?.length ?? 0) > 1 ? caps.fps! : []} value={now.fps} set={fps => set({ fps })} />
								<div class="columns">
									{caps.seed && (
										<label class="field"><span>Seed</span>
											<input data-field="seed" inputMode="numeric" value={now.seed} placeholder="random" aria-invalid={errors.seed ? 'true' : undefined}
												onInput={e => set({ seed: e.currentTarget.value })} />
											{errors.seed && <span class="error">{errors.seed}</span>}
										</label>
									)}
									<label class="field"><span>Title</span>
										<input value={now.title} maxLength={200} placeholder="for finding it again" onInput={e => set({ title: e.currentTarget.value })} />
									</label>
								</div>
							</div>
						</details>
					</section>
				</div>

				<aside class="card price-card" aria-label="Price">
					{price}
					<Trouble of={wrong && Object.keys(wrong.fields).every(f => !(f in now)) ? wrong : null} />
					<Trouble of={priceWrong && !Object.keys(priceWrong.fields).length ? priceWrong : null} />
					{wrong && Object.entries(wrong.fields).filter(([f]) => f !== 'prompt' && f !== 'seed' && f in now)
						.map(([f, text]) => <p key={f} class="error" role="alert">{text}</p>)}
					<button class="primary big" type="submit" disabled={busy || pricing || poor || !model.available}>
						<Icon name={busy ? 'loader-circle' : 'sparkles'} class={busy ? 'spin' : ''} />
						{busy ? 'Sending' : estimate && !pricing ? `Generate · ${estimate.credits.toLocaleString('en')}` : 'Generate'}
						{estimate && !busy && !pricing && <span class="hidden"> credits</span>}
					</button>
					<p class="muted small centre">If it fails, the credits come back by themselves.</p>
				</aside>
			</form>
			{active.value.length > 0 && <Running of={active.value} />}
			<ModelPicker open={picking} onClose={() => setPicking(false)} models={models.value} chosen={model.slug}
				choose={m => { setForm(bound({ ...latest.current, model: m.slug }, m)); setWrong(null); setPicking(false); }} />
		</div>
	);
}

