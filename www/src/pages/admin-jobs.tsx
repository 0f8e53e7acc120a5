// admin-jobs.tsx - every user's jobs, live: counts, rows that do not jump,
// search, and actions on many.
import { useEffect, useRef, useState } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { get, list } from '../api';
import { watch } from '../live';
import { capped, countsOf, type Counts, type JobFilter } from '../logic/admin';
import { search, type Query } from '../logic/query';
import { label, statuses } from '../logic/status';
import { span } from '../logic/format';
import { patch, type Versioned } from '../logic/version';
import type { AdminJob, Overview, Status } from '../types';
import { AdminPage } from '../ui/admin-nav';
import { Bulk } from '../ui/bulk';
import { Icon } from '../ui/icon';
import { Badge, Bar, Empty, More, Skeleton, Trouble, When } from '../ui/kit';
import { useTitle } from '../ui/kit';
import { useLater, usePages } from '../ui/use';

const REFRESH_MS = 2000;
const strip: [string, Status[]][] = [
	['Waiting', ['pending']], ['Queued', ['queued']], ['Generating', ['processing', 'cancelling']],
	['Finishing', ['finalizing']], ['In review', ['review']], ['Failed, 24 h', ['failed']],
];

// The states that an action can be done to.
const actable: Record<'cancel' | 'retry', Status[]> = {
	cancel: ['pending', 'queued', 'processing', 'awaiting_approval'], retry: ['failed', 'cancelled'],
};

function NowStrip({ counts, oldest }: { counts: Counts | null; oldest: number | null }) {
	return (
		<dl class="now-strip">
			{strip.map(([text, of]) => {
				const n = of.reduce((sum, s) => sum + (counts?.[s] ?? 0), 0);
				return <div key={text} class={n && (of[0] === 'failed' || of[0] === 'review') ? 'hot' : ''}><dt>{text}</dt><dd>{counts ? capped(n) : '–'}</dd></div>;
			})}
			<div><dt>Oldest queued</dt><dd>{oldest === null ? '–' : span(oldest * 1000)}</dd></div>
		</dl>
	);
}

function owner(job: AdminJob): string {
	return job.email ?? job.user?.email ?? '';
}

function Row({ job, chosen, choose }: { job: AdminJob; chosen: boolean; choose: (on: boolean) => void }) {
	const moving = job.status === 'processing' || job.status === 'finalizing' || job.status === 'cancelling';
	return (
		<tr class={chosen ? 'chosen' : ''}>
			<td class="check"><label><input type="checkbox" checked={chosen} aria-label={`Select job ${job.id}`} onChange={e => choose(e.currentTarget.checked)} /></label></td>
			<td class="job-what"><a href={`/admin/jobs/${job.id}`}><span class="one-line">{job.title || job.prompt || job.id}</span></a>
				<span class="muted small one-line">{owner(job)}</span></td>
			<td><Badge status={job.status} />{moving && <Bar of={job} quiet />}{job.error && job.status !== 'cancelled' && <code class="small block error-code">{job.error.code}</code>}</td>
			<td class="nowrap"><span>{job.model_name}</span><span class="muted small block">{job.provider}</span></td>
			<td class="num">{job.credits.toLocaleString('en')}</td>
			<td class="nowrap"><When time={job.created_at} /></td>
		</tr>
	);
}

export default function Jobs() {
	useTitle('Jobs');
	const { query, route } = useLocation();
	const filter: JobFilter = { state: query.state, provider: query.provider, q: query.q };
	const asked: Query = { ...filter, limit: '50' };
	const pages = usePages<AdminJob>('/admin/jobs', asked);
	const [words, setWords] = useState(filter.q ?? '');
	const settled = useLater(words, 300);
	const [counts, setCounts] = useState<Counts | null>(null);
	const [oldest, setOldest] = useState<number | null>(null);
	const [paused, setPaused] = useState(false);
	const [fresh, setFresh] = useState(0);
	const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
	const [bulk, setBulk] = useState<'cancel' | 'retry' | null>(null);
	const go = (values: Query) => route(`/admin/jobs${search({ ...query, ...values })}`, true);

	useEffect(() => { if (settled !== (filter.q ?? '')) go({ q: settled || undefined }); }, [settled]);
	const key = JSON.stringify(asked);
	useEffect(() => { setFresh(0); setChosen(new Set()); }, [key]);

	const live = useRef({ pages, paused, asked });
	live.current = { pages, paused, asked };
	useEffect(() => {
		let timer = 0, last = 0, dead = false;
		// queue.stats came without counts by state
		let stale = false;
		const overview = async () => {
			const o = await get<Overview>('/admin/overview');
			if (dead || live.current.paused) return;
			setCounts(countsOf(o));
			setOldest(o.oldest_queued_s ?? null);
		};
		// Rows on the page change where they are; others are only counted.
		const refresh = async () => {
			last = Date.now();
			const of = JSON.stringify(live.current.asked);
			const page = await list<AdminJob>('/admin/jobs', live.current.asked);
			const { pages: now, paused: still } = live.current;
			if (dead || still || of !== JSON.stringify(live.current.asked) || !now.data) return;
			const known = new Set(now.data.map(j => j.id));
			now.edit(rows => page.data.reduce((all, j) => patch(all, j), rows));
			setFresh(page.data.filter(j => !known.has(j.id)).length);
		};
		const soon = () => {
			if (timer || dead) return;
			timer = window.setTimeout(() => {
				timer = 0;
				if (live.current.paused || document.hidden) return;
				if (stale) overview().catch(() => { /* the next event tries again */ });
				stale = false;
				refresh().catch(() => { /* the next event tries again */ });
			}, Math.max(200, last + REFRESH_MS - Date.now()));
		};
		const poll = () => Promise.all([overview(), refresh()]);
		overview().catch(() => { /* the rows tell what is wrong */ });
		const end = watch('admin:queue', {
			snapshot(objects) {
				if (live.current.paused) return;
				for (const o of objects) {
					const c = countsOf(o);
					if (c) setCounts(c);
				}
				soon();
			},
			event(e) {
				if (live.current.paused) return;
				if (e.type === 'queue.stats') {
					const c = countsOf(e.data);
					if (c) setCounts(c);
					else stale = true;
					if (typeof e.data.oldest_queued_s === 'number' || e.data.oldest_queued_s === null) setOldest(e.data.oldest_queued_s as number | null);
					soon();
				} else if (e.type.startsWith('generation.') && typeof e.data?.id === 'string') {
					const { pages: now } = live.current;
					if (now.data?.some(j => j.id === e.data.id)) now.edit(rows => patch(rows, e.data as unknown as Partial<AdminJob> & Versioned));
					else soon();
				}
			},
			poll,
		});
		const shown = () => { if (!document.hidden) soon(); };
		document.addEventListener('visibilitychange', shown);
		return () => {
			dead = true;
			clearTimeout(timer);
			document.removeEventListener('visibilitychange', shown);
			end();
		};
	}, []);

	const rows = pages.data ?? [];
	const all = rows.length > 0 && rows.every(j => chosen.has(j.id));
	const choose = (id: string, on: boolean) => {
		const next = new Set(chosen);
		if (on) next.add(id); else next.delete(id);
		setChosen(next);
	};
	const filtered = Boolean(filter.state || filter.q || filter.provider);
	const may = (action: keyof typeof actable) => chosen.size > 0 || (filtered && (!filter.state || actable[action].includes(filter.state as Status)));
	return (
		<AdminPage title="Jobs" end={
			<button class="ghost" type="button" aria-pressed={paused} onClick={() => { setPaused(!paused); if (paused) { pages.reload(); setFresh(0); } }}>
				<Icon name={paused ? 'play' : 'pause'} />{paused ? 'Go on' : 'Pause live'}
			</button>
		}>
			<NowStrip counts={counts} oldest={oldest} />
			<div class="filters" role="search">
				<label class="search"><Icon name="search" /><span class="hidden">Search jobs</span>
					<input type="search" value={words} placeholder="Id, prompt, e-mail or model" onInput={e => setWords(e.currentTarget.value)} />
				</label>
				<div class="chips" role="group" aria-label="State">
					<button type="button" class="chip" aria-pressed={!filter.state} onClick={() => go({ state: undefined })}>All</button>
					{statuses.filter(s => s !== 'draft' && s !== 'awaiting_approval').map(s => (
						<button key={s} type="button" class="chip" aria-pressed={filter.state === s} onClick={() => go({ state: filter.state === s ? undefined : s })}>
							{label(s)}{counts && <b>{capped(counts[s] ?? 0)}</b>}
						</button>
					))}
				</div>
			</div>
			<div class="bulk-bar" role="group" aria-label="Selected jobs">
				<span class="muted small" aria-live="polite">{chosen.size ? `${chosen.size} selected` : filtered ? 'Actions reach every job of this filter' : 'Select jobs, or filter, to act on many'}</span>
				<span class="grow" />
				<button class="ghost" type="button" disabled={!may('retry')} onClick={() => setBulk('retry')}><Icon name="rotate-cw" />Retry</button>
				<button class="ghost" type="button" disabled={!may('cancel')} onClick={() => setBulk('cancel')}><Icon name="ban" />Cancel</button>
			</div>
			<Trouble of={pages.wrong} again={pages.reload} />
			{fresh > 0 && <button class="pill" type="button" onClick={() => { setFresh(0); pages.reload(); }}>{fresh} new</button>}
			{!pages.data ? !pages.wrong && <Skeleton lines={8} /> : !rows.length ? (
				filtered ? <Empty icon="search" title="No job matches"><button class="ghost" type="button" onClick={() => { setWords(''); route('/admin/jobs'); }}>Show all jobs</button></Empty>
					: <Empty icon="activity" title="No jobs yet"><p>Jobs of all users appear here as they are made.</p></Empty>
			) : (
				<div class="card table-card" tabIndex={0} role="region" aria-label="Jobs table">
					<table class="table jobs">
						<thead><tr>
							<th scope="col" class="check"><label><input type="checkbox" checked={all} aria-label="Select all on this page" onChange={e => setChosen(e.currentTarget.checked ? new Set(rows.map(j => j.id)) : new Set())} /></label></th>
							<th scope="col">Job</th><th scope="col">State</th><th scope="col">Model</th><th scope="col" class="num">Credits</th><th scope="col">Made</th>
						</tr></thead>
						<tbody>{rows.map(j => <Row key={j.id} job={j} chosen={chosen.has(j.id)} choose={on => choose(j.id, on)} />)}</tbody>
					</table>
				</div>
			)}
			{pages.more && <More busy={pages.busy} onClick={pages.next} />}
			{bulk && <Bulk action={bulk} jobs={rows.filter(j => chosen.has(j.id))} filter={filter} onClose={() => setBulk(null)}
				done={() => { setChosen(new Set()); pages.reload(); }} />}
		</AdminPage>
	);
}
