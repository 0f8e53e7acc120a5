// generation.tsx - one generation from the order to the receipt, live.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { call, get, list, once, problem, type Problem } from '../api';
import { watch } from '../live';
import { bytes, credits, eta, ms, span } from '../logic/format';
import { cancelText, ended, mayCancel, refundLine, retryText, shape, stage, tone, waiting } from '../logic/status';
import { newer, read, type Versioned } from '../logic/version';
import { loadModels, models, tell } from '../store';
import type { GenEvent, Generation, Model, Receipt } from '../types';
import { Icon } from '../ui/icon';
import { Badge, Bar, Confirm, Copy, Skeleton, Trouble, useNow, useTitle, When } from '../ui/kit';
import { Player } from '../ui/player';
import { ReceiptCard } from '../ui/receipt';
import { Timeline } from '../ui/timeline';

function useGeneration(id: string) {
	const [g, setG] = useState<Generation | null>(null);
	const [events, setEvents] = useState<readonly GenEvent[]>([]);
	const [receipt, setReceipt] = useState<Receipt | null>(null);
	const [wrong, setWrong] = useState<Problem | null>(null);
	const alive = useRef(id);
	alive.current = id;

	const load = useCallback(async () => {
		try {
			const [one, happened, paid] = await Promise.all([
				get<Generation>(`/generations/${id}`),
				list<GenEvent>(`/generations/${id}/events`),
				get<Receipt>(`/generations/${id}/receipt`).catch(e => {
					if (problem(e).status === 404) return null;
					throw e;
				}),
			]);
			if (alive.current !== id) return;
			setG(known => read(known, one));
			setEvents(happened.data);
			setReceipt(paid);
			setWrong(null);
		} catch (e) { if (alive.current === id) setWrong(problem(e)); }
	}, [id]);

	useEffect(() => {
		setG(null);
		setEvents([]);
		setReceipt(null);
		void load();
		// What an event leaves out (rights, receipt) is read again when the
		// state moves, not at each percent.
		let state = '', timer = 0;
		const take = (data: Partial<Generation> & Versioned) => {
			setG(known => (known ? newer(known, data) : known));
			const now = `${data.status}/${data.stage}`;
			if (data.status && now !== state) {
				if (state) {
					clearTimeout(timer);
					timer = window.setTimeout(() => void load(), 150);
				}
				state = now;
			}
		};
		const end = watch(`generation:${id}`, {
			snapshot(objects) {
				const one = objects.find(o => o.id === id) as unknown as Generation | undefined;
				if (!one) return;
				const moved = state && state !== `${one.status}/${one.stage}`;
				state = `${one.status}/${one.stage}`;
				setG(known => (known ? newer(known, one) : known));
				if (moved) void load();
			},
			event(e) {
				if (e.data?.id === id && typeof e.data.version === 'number') {
					take(e.data as unknown as Partial<Generation> & Versioned);
					if (!state) void load();
				}
			},
			poll: load,
		});
		return () => { clearTimeout(timer); end(); };
	}, [id, load]);
	return { g, events, receipt, wrong, load, setG };
}

function Facts({ g }: { g: Generation }) {
	const v = g.video;
	const rows: [string, string | null | undefined][] = [
		['Model', g.model_name],
		['Provider', g.provider],
		['Size', v ? `${v.width} × ${v.height}` : [g.spec?.resolution, g.spec?.aspect_ratio].filter(Boolean).join(' · ')],
		['Duration', v ? span(v.duration_s * 1000) : g.spec?.duration ? `${g.spec.duration} s` : null],
		['Frames per second', v?.fps ? String(Math.round(v.fps * 100) / 100) : g.spec?.fps ? String(g.spec.fps) : null],
		['Sound', v ? (v.has_audio ? 'Yes' : 'No') : null],
		['File', v?.size_bytes ? `${bytes(v.size_bytes)}${v.codec ? ` · ${v.codec}` : ''}` : null],
		['Seed', g.spec?.seed !== null && g.spec?.seed !== undefined ? String(g.spec.seed) : null],
		['Left out', g.negative_prompt],
		['Improved prompt', g.enhanced_prompt],
	];
	return (
		<dl class="facts">
			{rows.filter(([, value]) => value).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
			<div><dt>Id</dt><dd><code class="break">{g.id}</code></dd></div>
		</dl>
	);
}

function Now({ g, model }: { g: Generation; model: Model | undefined }) {
	const now = useNow();
	const since = ms(g.started_at) ?? ms(g.created_at) ?? now;
	const left = eta(g.queue?.eta_low_s ?? null, g.queue?.eta_high_s ?? null);
	const usual = model?.stats?.median_s ?? model?.stats?.average_s;
	const moving = g.status === 'processing' || g.status === 'finalizing' || g.status === 'cancelling';
	return (
		<div class="now" aria-live="polite">
			<p class="now-stage">{stage(g)}</p>
			{moving ? <Bar of={g} /> : null}
			<p class="muted small">
				<span aria-live="off">{span(Math.max(0, now - since)).replace(/\.\d s$/, ' s')} so far</span>
				{left ? ` · ${left} left` : usual ? ` · usually ${span(usual * 1000)}` : ''}
			</p>
			{waiting(g) && <p class="note"><Icon name="hourglass" />{waiting(g)}</p>}
			<p class="muted small">You can close this page: it goes on without you.</p>
		</div>
	);
}

export default function GenerationPage({ id = '' }: { id?: string }) {
	const { g, events, receipt, wrong, load, setG } = useGeneration(id);
	const { route } = useLocation();
	const [asking, setAsking] = useState<'cancel' | 'retry' | 'delete' | null>(null);
	useTitle(g ? g.title || g.prompt.slice(0, 60) || g.model_name : 'Video');
	useEffect(() => { loadModels().catch(() => { /* names come with the generation */ }); }, []);

	if (wrong && !g) {
		return (
			<div class="page">
				{wrong.status === 404
					? <div class="empty"><h1>No such video</h1><p>It was deleted, or it belongs to another account.</p><a class="button primary" href="/history">Your history</a></div>
					: <Trouble of={wrong} again={() => void load()} />}
			</div>
		);
	}
	if (!g) return <div class="page generation"><Skeleton class="video" lines={1} /><Skeleton class="tall" lines={4} /></div>;

	const model = models.value?.find(m => m.slug === g.model);
	const over = ended(g.status);
	const cancels = g.can?.cancel === true && mayCancel(g.status);
	const [w, h] = shape(g);
	const refund = refundLine(g);
	const cancel = async () => {
		setG(read(g, await once<Generation>(`cancel.${id}`, `/generations/${id}/cancel`)));
		await load();
	};
	const retry = async () => {
		const made = await once<Generation>(`retry.${id}`, `/generations/${id}/retry`);
		route(`/generations/${made.id}`);
	};
	const remove = async () => {
		await call('DELETE', `/generations/${id}`);
		tell('Deleted.');
		route('/history');
	};
	const favourite = async () => {
		try {
			setG(read(g, await call<Generation>('PATCH', `/generations/${id}`, { body: { favourite: !g.favourite } })));
		} catch (e) { tell(problem(e).message, true); }
	};
	return (
		<div class="page">
			<nav class="crumbs" aria-label="Breadcrumb"><a href="/history"><Icon name="arrow-left" size={16} />History</a></nav>
			<div class="row generation-head">
				<h1 class="grow prompt-title">{g.title || (g.prompt.length > 120 ? `${g.prompt.slice(0, 120)}…` : g.prompt) || g.model_name}</h1>
				<button class="icon-button" type="button" aria-pressed={g.favourite} aria-label="Favourite" onClick={() => void favourite()}>
					<Icon name="star" class={g.favourite ? 'filled' : ''} />
				</button>
			</div>
			<div class="generation">
				<div class="stage" style={{ aspectRatio: `${w} / ${h}`, '--ratio': String(w / h) } as never}>
					{g.status === 'completed' && g.video_url
						? <Player src={g.video_url} poster={g.thumbnail_url} title={g.title || g.prompt} width={w} height={h} />
						: (
							<div class={`stage-wait ${tone(g.status)}`}>
								{over
									? <Icon name={g.status === 'cancelled' ? 'ban' : g.status === 'failed' ? 'circle-x' : 'film'} size={40} />
									: <span class="reel" aria-hidden="true"><i /><i /><i /></span>}
								<p>{over && g.status === 'completed' ? 'The files of this video are gone.' : over ? 'No video' : stage(g)}</p>
							</div>
						)}
				</div>
				<div class="stack side">
					<section class="card stack" aria-labelledby="state">
						<div class="row"><h2 id="state" class="section-title grow">Status</h2><Badge status={g.status} /></div>
						{!over && <Now g={g} model={model} />}
						{g.error && g.status !== 'completed' && g.status !== 'cancelled' && (
							<div class="trouble" role="alert">
								<Icon name="triangle-alert" />
								<div>
									<p><strong>{g.error.message}</strong></p>
									{g.status === 'failed' && <p class="small muted">{g.error.retryable ? 'Trying again may work.' : 'Change the prompt or settings before trying again.'} <code>{g.error.code}</code></p>}
								</div>
							</div>
						)}
						{refund && <p class="note good refund"><Icon name="coins" />{refund}</p>}
						{g.status === 'completed' && <p class="muted small">Finished <When time={g.completed_at} />
							{ms(g.completed_at) && ms(g.created_at) ? `, ${span(ms(g.completed_at)! - ms(g.created_at)!)} after the order` : ''}</p>}
						{(g.can?.download || g.can?.retry || cancels) && (
							<div class="actions">
								{g.can?.download && <a class="button primary grow" href={`/api/v1/generations/${id}/download`} download><Icon name="download" />Download</a>}
								{g.can?.retry && <button class={g.status === 'failed' ? 'primary grow' : 'ghost grow'} type="button" onClick={() => setAsking('retry')}><Icon name="rotate-cw" />Try again</button>}
								{cancels && <button class="ghost grow" type="button" onClick={() => setAsking('cancel')}><Icon name="ban" />Cancel</button>}
							</div>
						)}
						<Timeline events={events} created={g.created_at} over={over} />
						{g.parent_id && <p class="small"><a href={`/generations/${g.parent_id}`}>{g.relation === 'retry' ? 'Tried again from an earlier one' : 'Made from an earlier one'}</a></p>}
					</section>
					<ReceiptCard receipt={receipt} g={g} />
				</div>
				<section class="card stack about" aria-labelledby="about">
					<h2 id="about" class="section-title">Details</h2>
					{(g.title || g.prompt.length > 120) && <p class="prompt">{g.prompt}</p>}
					<Facts g={g} />
					<div class="actions">
						<Copy text={g.prompt}>Copy prompt</Copy>
						{g.can?.delete && over && <button class="ghost" type="button" onClick={() => setAsking('delete')}><Icon name="trash-2" />Delete</button>}
					</div>
				</section>
			</div>
			<Confirm open={asking === 'cancel'} onClose={() => setAsking(null)} title="Cancel this video?" action="Cancel the video" danger run={cancel}>
				<p>{cancelText(g, model)}</p>
			</Confirm>
			<Confirm open={asking === 'retry'} onClose={() => setAsking(null)} title="Try again?" action={`Try again · ${credits(g.credits)}`} run={retry}>
				<p>{retryText(g)}</p>
			</Confirm>
			<Confirm open={asking === 'delete'} onClose={() => setAsking(null)} title="Delete this video?" action="Delete" danger run={remove}>
				<p>The video and its poster are removed for good. The receipt stays in the ledger.</p>
			</Confirm>
		</div>
	);
}
