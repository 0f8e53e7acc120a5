// history.tsx - everything made so far, as posters; filters live in the address.
import { useEffect, useRef, useState } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { watch } from '../live';
import { has, search, toggle, type Query } from '../logic/query';
import { ended, label, shape, stage } from '../logic/status';
import { patch, type Versioned } from '../logic/version';
import { active, loadModels, models } from '../store';
import type { Generation } from '../types';
import { Icon } from '../ui/icon';
import { Badge, Bar, Empty, More, Trouble, useTitle, When } from '../ui/kit';
import { useLater, usePages } from '../ui/use';

const groups: [string, string][] = [
	['completed', 'Completed'], ['processing,finalizing,cancelling', 'Generating'], ['pending,queued', 'Waiting'],
	['failed', 'Failed'], ['cancelled', 'Cancelled'], ['review', 'In review'],
];

function calm(): boolean {
	const saving = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData;
	return Boolean(saving) || matchMedia('(prefers-reduced-motion: reduce)').matches || !matchMedia('(hover: hover)').matches;
}

// A poster that plays, silent, after a moment under the pointer.
function Poster({ g }: { g: Generation }) {
	const [play, setPlay] = useState(false);
	const timer = useRef(0);
	const leave = () => { clearTimeout(timer.current); setPlay(false); };
	useEffect(() => leave, []);
	const [w, h] = shape(g);
	const enter = () => {
		if (g.video_url && !calm()) timer.current = window.setTimeout(() => setPlay(true), 150);
	};
	return (
		<div class="poster" onPointerEnter={enter} onPointerLeave={leave}>
			{g.thumbnail_url
				? <img src={g.thumbnail_url} width={w} height={h} alt="" loading="lazy" decoding="async" />
				: <span class="poster-blank">{ended(g.status)
					? <Icon name={g.status === 'failed' ? 'circle-x' : g.status === 'cancelled' ? 'ban' : 'film'} size={28} />
					: <span class="reel small-reel" aria-hidden="true"><i /><i /><i /></span>}</span>}
			{play && g.video_url && <video src={g.video_url} muted loop autoPlay playsInline disablePictureInPicture aria-hidden="true" tabIndex={-1} />}
		</div>
	);
}

function Card({ g }: { g: Generation }) {
	return (
		<li>
			<a class="card tile" href={`/generations/${g.id}`}>
				<Poster g={g} />
				<div class="tile-text">
					<strong class="two-lines">{g.title || g.prompt || g.model_name}</strong>
					{!ended(g.status) && g.status !== 'pending' && g.status !== 'queued' && <Bar of={g} quiet />}
					<span class="row small muted"><span class="one-line grow">{g.model_name}</span><When time={g.created_at} /></span>
					<span class="row"><Badge status={g.status} />
						{g.charge && g.charge.refunded > 0 && <span class="small muted">refunded {g.charge.refunded.toLocaleString('en')}</span>}
						{!ended(g.status) && <span class="hidden">{stage(g)}</span>}
						{g.favourite && <Icon name="star" size={16} class="filled" />}
					</span>
				</div>
			</a>
		</li>
	);
}

export default function History() {
	useTitle('History');
	const { query, route } = useLocation();
	const q = query as Query;
	const [words, setWords] = useState(q.search ?? '');
	const settled = useLater(words, 250);
	const asked: Query = { status: q.status, model: q.model, search: q.search, favourite: q.favourite, limit: '24' };
	const pages = usePages<Generation>('/generations', asked);
	const go = (values: Query) => route(`/history${search({ ...q, ...values })}`, true);

	useEffect(() => { loadModels().catch(() => { /* the filter stays empty */ }); }, []);
	useEffect(() => { if (settled !== (q.search ?? '')) go({ search: settled || undefined }); }, [settled]);

	const latest = useRef(pages);
	latest.current = pages;
	useEffect(() => watch('user:me', {
		snapshot(objects) {
			latest.current.edit(list => objects.reduce<readonly Generation[]>(
				(all, o) => (typeof o.id === 'string' && typeof o.version === 'number' ? patch(all, o as unknown as Partial<Generation> & Versioned) : all), list));
		},
		event(e) {
			if (!e.type.startsWith('generation.') || typeof e.data?.id !== 'string') return;
			latest.current.edit(list => patch(list, e.data as unknown as Partial<Generation> & Versioned));
		},
	}), []);

	const filtered = Boolean(q.status || q.search || q.model || q.favourite);
	// Made after this list was read.
	const newest = pages.data && !filtered ? active.value.filter(a => !pages.data!.some(g => g.id === a.id)).length : 0;
	const used = new Set((pages.data ?? []).map(g => g.model));
	return (
		<div class="page">
			<header class="page-head row wrap">
				<h1 class="grow">History</h1>
				<a class="button primary" href="/create"><Icon name="plus" />New video</a>
			</header>
			<div class="filters" role="search">
				<label class="search"><Icon name="search" /><span class="hidden">Search prompts and titles</span>
					<input type="search" value={words} placeholder="Search prompts and titles" onInput={e => setWords(e.currentTarget.value)} />
				</label>
				<label class="hidden" for="model-filter">Model</label>
				<select id="model-filter" value={q.model ?? ''} onChange={e => go({ model: e.currentTarget.value || undefined })}>
					<option value="">All models</option>
					{(models.value ?? []).filter(m => m.available || used.has(m.slug) || m.slug === q.model).map(m => <option key={m.slug} value={m.slug}>{m.name}</option>)}
				</select>
				<div class="chips" role="group" aria-label="Status">
					{groups.map(([words, text]) => {
						const on = words.split(',').every(w => has(q.status, w));
						return (
							<button key={text} type="button" class="chip" aria-pressed={on}
								onClick={() => go({ status: words.split(',').reduce<string | undefined>((all, w) => (has(all, w) === on ? toggle(all, w) : all), q.status) })}>
								{text}
							</button>
						);
					})}
					<button type="button" class="chip" aria-pressed={q.favourite === 'true'} onClick={() => go({ favourite: q.favourite ? undefined : 'true' })}>
						<Icon name="star" size={14} />Favourites
					</button>
				</div>
			</div>
			<Trouble of={pages.wrong} again={pages.reload} />
			{newest > 0 && <button class="pill" type="button" onClick={pages.reload}>{newest} new</button>}
			{!pages.data ? (!pages.wrong && <ul class="tiles" role="status" aria-label="Loading">{Array.from({ length: 8 }, (_, i) => <li key={i}><div class="tile ghost-tile" /></li>)}</ul>)
				: pages.data.length ? (
					<>
						<ul class="tiles">{pages.data.map(g => <Card key={g.id} g={g} />)}</ul>
						{pages.more && <More busy={pages.busy} onClick={pages.next} />}
					</>
				) : filtered ? (
					<Empty icon="search" title="Nothing matches">
						<p>Looked for {[q.search && `“${q.search}”`, q.status && q.status.split(',').map(label).join(' or ').toLowerCase(), q.model, q.favourite && 'favourites'].filter(Boolean).join(', ')}.</p>
						<button class="ghost" type="button" onClick={() => { setWords(''); route('/history'); }}>Show everything</button>
					</Empty>
				) : (
					<Empty icon="clapperboard" title="Your first video is a sentence away">
						<p>What you make appears here, with its price and what became of it.</p>
						<a class="button primary" href="/create"><Icon name="sparkles" />Create a video</a>
					</Empty>
				)}
		</div>
	);
}
