// bulk.tsx - one action on many jobs: first what it would reach, then the act.
// A filter is evaluated by the server, both times; selected jobs are asked for
// one by one.
import { useEffect, useState } from 'preact/hooks';
import { once, post, problem, type Problem } from '../api';
import { inWords, type JobFilter } from '../logic/admin';
import { tell } from '../store';
import type { AdminJob } from '../types';
import { Icon } from './icon';
import { Dialog, Skeleton, Trouble } from './kit';

interface Result { count: number; words?: string; more?: boolean; results?: { id: string; outcome: string }[] }

const TYPED_OVER = 100;
const names = { cancel: 'Cancel', retry: 'Retry' };
const unmoved = new Set(['too_late', 'already', 'not_found', 'not_failed', 'no_credit', 'limit', 'error']);

export function Bulk({ action, jobs, filter, onClose, done }: {
	action: 'cancel' | 'retry'; jobs: readonly AdminJob[]; filter: JobFilter; onClose: () => void; done: () => void;
}) {
	const words = jobs.length ? `${jobs.length} selected ${jobs.length === 1 ? 'job' : 'jobs'}` : inWords(filter);
	const able = jobs.filter(j => j.can[action]);
	const [dry, setDry] = useState<Result | null>(jobs.length ? { count: able.length } : null);
	const [wrong, setWrong] = useState<Problem | null>(null);
	const [reason, setReason] = useState('');
	const [typed, setTyped] = useState('');
	const [busy, setBusy] = useState(false);
	useEffect(() => {
		if (!jobs.length) post<Result>('/admin/jobs/bulk', { action, filter, dry_run: true }).then(setDry, e => setWrong(problem(e)));
	}, []);
	const n = dry?.count ?? 0;
	const sure = n <= TYPED_OVER || typed.trim() === String(n);

	const selected = async (): Promise<[number, number]> => {
		let good = 0;
		for (const j of able) {
			try {
				await once(`admin.${action}.${j.id}`, `/admin/jobs/${j.id}/${action}`, { reason: reason.trim() });
				good++;
			} catch (e) {
				// It moved on meanwhile, or its owner can't pay: go on with the others.
				const p = problem(e);
				if (p.status !== 409 && p.status !== 404 && p.status !== 402) throw p;
			}
		}
		return [good, able.length];
	};
	const filtered = async (): Promise<[number, number]> => {
		const got = await once<Result>('bulk', '/admin/jobs/bulk', { action, filter, dry_run: false, reason: reason.trim() });
		const all = got.results ?? [];
		return [all.filter(r => !unmoved.has(r.outcome)).length, all.length];
	};
	const run = async (e: Event) => {
		e.preventDefault();
		setBusy(true);
		setWrong(null);
		try {
			const [good, all] = jobs.length ? await selected() : await filtered();
			tell(good < all ? `${good} of ${all} done; the others had moved on.` : `${good} done.`);
			done();
			onClose();
		} catch (failure) { setWrong(problem(failure)); }
		setBusy(false);
	};
	return (
		<Dialog open onClose={onClose} title={`${names[action]} many`}>
			<form class="stack" onSubmit={run}>
				<p>{dry?.words ? <strong>{dry.words}.</strong> : <>{names[action]}: <strong>{words}</strong>.</>}</p>
				{!dry && !wrong && <Skeleton lines={1} />}
				{dry && <p class="note"><Icon name="eye" />{n === 0 ? 'None of them can be acted on now.' : `Would act on ${n.toLocaleString('en')} ${n === 1 ? 'job' : 'jobs'}. Those that moved on meanwhile are left alone.`}</p>}
				{n > 0 && (
					<label class="field"><span>Reason, for the audit log</span>
						<input required maxLength={200} value={reason} onInput={e => setReason(e.currentTarget.value)} />
					</label>
				)}
				{n > TYPED_OVER && (
					<label class="field"><span>Type {n} to go on</span>
						<input inputMode="numeric" value={typed} onInput={e => setTyped(e.currentTarget.value)} />
					</label>
				)}
				<Trouble of={wrong} />
				<footer>
					<button class="ghost" type="button" onClick={onClose}>Leave them</button>
					<button class={action === 'cancel' ? 'danger' : 'primary'} type="submit" disabled={busy || n === 0 || !sure || !reason.trim()}>
						{names[action]} {n.toLocaleString('en')}
					</button>
				</footer>
			</form>
		</Dialog>
	);
}
