// bulk.tsx - one action on many jobs: first a dry run that counts, then the
// act.  The server evaluates the filter both times, never the page.
import { useEffect, useState } from 'preact/hooks';
import { once, post, problem, type Problem } from '../api';
import { inWords, type JobFilter } from '../logic/admin';
import { tell } from '../store';
import { Icon } from './icon';
import { Dialog, Skeleton, Trouble } from './kit';

interface Result { count?: number; total?: number; matched?: number; words?: string; results?: { id: string; outcome: string }[] }

const TYPED_OVER = 100;
const names = { cancel: 'Cancel', retry: 'Retry' };

function countOf(r: Result): number {
	return r.count ?? r.matched ?? r.total ?? r.results?.length ?? 0;
}

export function Bulk({ action, ids, filter, onClose, done }: {
	action: 'cancel' | 'retry'; ids: string[]; filter: JobFilter; onClose: () => void; done: () => void;
}) {
	const what = ids.length ? { ids } : filter;
	const words = ids.length ? `${ids.length} selected ${ids.length === 1 ? 'job' : 'jobs'}` : inWords(filter);
	const [dry, setDry] = useState<Result | null>(null);
	const [wrong, setWrong] = useState<Problem | null>(null);
	const [reason, setReason] = useState('');
	const [typed, setTyped] = useState('');
	const [busy, setBusy] = useState(false);
	useEffect(() => {
		post<Result>('/admin/jobs/bulk', { action, filter: what, dry_run: true }).then(setDry, e => setWrong(problem(e)));
	}, []);
	const n = dry ? countOf(dry) : 0;
	const sure = n <= TYPED_OVER || typed.trim() === String(n);
	const run = async (e: Event) => {
		e.preventDefault();
		setBusy(true);
		setWrong(null);
		try {
			const got = await once<Result>('bulk', '/admin/jobs/bulk', { action, filter: what, dry_run: false, reason: reason.trim() });
			const good = got.results?.filter(r => r.outcome === 'ok' || r.outcome.startsWith('cancel') || r.outcome === 'created' || r.outcome === 'retried').length;
			tell(good !== undefined && good < countOf(got) ? `${good} of ${countOf(got)} done; the others had moved on.` : `${countOf(got)} done.`);
			done();
			onClose();
		} catch (failure) { setWrong(problem(failure)); }
		setBusy(false);
	};
	return (
		<Dialog open onClose={onClose} title={`${names[action]} many`}>
			<form class="stack" onSubmit={run}>
				<p>{names[action]}: <strong>{dry?.words ?? words}</strong>.</p>
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
