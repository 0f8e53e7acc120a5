// admin-job.tsx - all about one job: states, attempts, money, raw data.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { get, once, problem, type Problem } from '../api';
import { watch } from '../live';
import { curl } from '../logic/admin';
import { ms, span } from '../logic/format';
import { cancelText, ended, refundLine, retryText, stage, waiting } from '../logic/status';
import { loadModels, me, models, tell } from '../store';
import type { AdminJob, Attempt } from '../types';
import { AdminPage } from '../ui/admin-nav';
import { Icon } from '../ui/icon';
import { Badge, Bar, Confirm, Copy, Skeleton, Trouble, useTitle, When } from '../ui/kit';
import { Entries } from '../ui/receipt';
import { Timeline } from '../ui/timeline';

function flat(got: AdminJob & { generation?: AdminJob }): AdminJob {
	const { generation, ...rest } = got;
	return generation ? { ...rest, ...generation } as AdminJob : got;
}

const dollars = (micro: number) => `${micro < 0 ? '−' : ''}$${(Math.abs(micro) / 1e6).toFixed(4)}`;

function Money({ of }: { of: NonNullable<AdminJob['money']> }) {
	const say = (micro: number | null) => (micro === null ? 'not known' : dollars(micro));
	return (
		<ul class="lines">
			<li><span>Credits that stay charged</span><span>{say(of.revenue_micro_usd)}</span></li>
			<li><span>Cost at the provider{of.cost_estimated && of.cost_micro_usd !== null ? ' (estimated)' : ''}</span><span>{say(of.cost_micro_usd)}</span></li>
			<li class="total"><span>Margin</span><span>{say(of.margin_micro_usd)}</span></li>
		</ul>
	);
}

function Try({ a }: { a: Attempt }) {
	const from = ms(a.submitted_at ?? a.created_at), to = ms(a.finished_at);
	return (
		<li>
			<p class="row wrap"><strong>Attempt {a.number}</strong><span class="tag">{a.status}</span>
				<span class="muted small">{a.provider}{a.worker_id ? ` · worker ${a.worker_id}` : ''}</span></p>
			<p class="muted small"><When time={a.created_at} />{from !== null && to !== null ? ` · took ${span(to - from)}` : ''}
				{a.cost_micro_usd ? ` · cost ${dollars(a.cost_micro_usd)}${a.cost_estimated ? ' (estimated)' : ''}` : ''}</p>
			{a.provider_job_id && <p class="small">Provider’s id <code class="break">{a.provider_job_id}</code></p>}
			{(a.error_code || a.error_message) && <p class="error small"><code>{a.error_code}</code> {a.error_message}</p>}
		</li>
	);
}

export default function Job({ id = '' }: { id?: string }) {
	const [job, setJob] = useState<AdminJob | null>(null);
	const [wrong, setWrong] = useState<Problem | null>(null);
	const [asking, setAsking] = useState<'cancel' | 'retry' | null>(null);
	const version = useRef(0);
	useTitle('Job');
	const load = useCallback(async () => {
		try {
			const got = flat(await get(`/admin/jobs/${id}`));
			version.current = got.version;
			setJob(got);
			setWrong(null);
		} catch (e) { setWrong(problem(e)); }
	}, [id]);
	useEffect(() => {
		setJob(null);
		version.current = 0;
		void load();
		loadModels().catch(() => { /* the policy's text is then the general one */ });
		let timer = 0;
		const soon = () => {
			if (timer) return;
			timer = window.setTimeout(() => { timer = 0; void load(); }, 500);
		};
		const end = watch(`generation:${id}`, {
			snapshot: () => { if (version.current) soon(); },
			event: e => { if (e.data?.id === id && Number(e.data.version) > version.current) soon(); },
			poll: load,
		});
		return () => { clearTimeout(timer); end(); };
	}, [id, load]);

	if (!job) {
		return (
			<AdminPage title="Job">
				{wrong?.status === 404 ? <div class="empty"><h2>No such job</h2><a class="button ghost" href="/admin/jobs">All jobs</a></div>
					: wrong ? <Trouble of={wrong} again={() => void load()} /> : <Skeleton lines={6} />}
			</AdminPage>
		);
	}
	const model = models.value?.find(m => m.slug === job.model);
	const over = ended(job.status);
	const act = (action: 'cancel' | 'retry') => async () => {
		await once(`admin.${action}.${id}`, `/admin/jobs/${id}/${action}`);
		tell(action === 'cancel' ? 'Asked to cancel.' : 'Tried again as a new job.');
		await load();
	};
	const refund = refundLine(job);
	return (
		<AdminPage title={job.title || job.prompt.slice(0, 80) || 'Job'} end={<Badge status={job.status} />}>
			<p class="row wrap muted small job-head"><code class="break">{job.id}</code><span>{job.email ?? job.user?.email}</span>
				<span>{job.model_name} · {job.provider}</span><span>made <When time={job.created_at} /></span></p>
			<div class="actions">
				{(job.can?.cancel ?? !over) && <button class="ghost" type="button" onClick={() => setAsking('cancel')}><Icon name="ban" />Cancel</button>}
				{(job.can?.retry ?? (job.status === 'failed' || job.status === 'cancelled')) && <button class="ghost" type="button" onClick={() => setAsking('retry')}><Icon name="rotate-cw" />Retry</button>}
				<Copy text={curl(location.origin, `/api/v1/admin/jobs/${id}`)}>Copy as curl</Copy>
				{job.user_id === me.value?.id && <a class="button ghost" href={`/generations/${id}`}><Icon name="film" />Your page of it</a>}
			</div>
			<Trouble of={wrong} again={() => void load()} />
			<div class="job-detail">
				<section class="card stack" aria-labelledby="what"><h2 id="what" class="section-title">What happened</h2>
					{!over && <><p>{stage(job)}</p><Bar of={job} /></>}
					{job.job?.result_expiring && <p class="note warn"><Icon name="triangle-alert" />The provider’s copy of the result is nearly gone, and it is not stored here yet.</p>}
					{waiting(job) && <p class="note"><Icon name="hourglass" />{waiting(job)}</p>}
					{job.error && <div class="trouble"><Icon name="triangle-alert" /><div><p><strong>{job.error.message}</strong></p>
						<p class="small"><code>{job.error.class}/{job.error.code}</code>{job.provider_message ? ` · ${job.provider_message}` : ''}</p></div></div>}
					{refund && <p class="note good"><Icon name="coins" />{refund}</p>}
					<Timeline events={job.events ?? []} created={job.created_at} over={over} />
				</section>
				<section class="card stack" aria-labelledby="tries"><h2 id="tries" class="section-title">Attempts</h2>
					{job.attempts?.length ? <ol class="tries">{job.attempts.map(a => <Try key={a.id} a={a} />)}</ol> : <p class="muted">Nothing was sent to a provider yet.</p>}
				</section>
				<section class="card stack" aria-labelledby="money"><h2 id="money" class="section-title">Ledger</h2>
					{job.ledger?.length ? <Entries of={job.ledger} /> : <p class="muted">No movement.</p>}
					{job.money && <Money of={job.money} />}
				</section>
				<section class="card stack" aria-labelledby="prompt-text"><h2 id="prompt-text" class="section-title">Prompt</h2><p class="prompt">{job.prompt}</p></section>
			</div>
			<details class="card raw"><summary>Raw JSON<Icon name="chevron-down" /></summary>
				<pre tabIndex={0}>{JSON.stringify(job, null, 2)}</pre></details>
			<Confirm open={asking === 'cancel'} onClose={() => setAsking(null)} title="Cancel this job?" action="Cancel the job" danger run={act('cancel')}><p>{cancelText(job, model)}</p></Confirm>
			<Confirm open={asking === 'retry'} onClose={() => setAsking(null)} title="Retry this job?" action="Retry" run={act('retry')}><p>{retryText(job)} The owner pays.</p></Confirm>
		</AdminPage>
	);
}
