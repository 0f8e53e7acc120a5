// admin-workers.tsx - the GPU workers and what each one does.
import { useEffect, useRef } from 'preact/hooks';
import { watch } from '../live';
import type { Worker } from '../types';
import { AdminPage } from '../ui/admin-nav';
import { Empty, Skeleton, Trouble, useTitle, When } from '../ui/kit';
import { usePages } from '../ui/use';

const tones: Record<string, string> = { online: 'good', idle: 'good', busy: 'busy', draining: 'warn', offline: 'bad' };

export default function Workers() {
	useTitle('Workers');
	const pages = usePages<Worker>('/admin/workers', {});
	const reload = useRef(pages.reload);
	reload.current = pages.reload;
	useEffect(() => {
		let timer = 0;
		const soon = () => { timer ||= window.setTimeout(() => { timer = 0; reload.current(); }, 1000); };
		const end = watch('admin:workers', {
			snapshot: soon,
			event: e => { if (e.type.startsWith('worker.')) soon(); },
			poll: async () => reload.current(),
		});
		return () => { clearTimeout(timer); end(); };
	}, []);
	return (
		<AdminPage title="Workers">
			<Trouble of={pages.wrong} again={pages.reload} />
			{!pages.data ? !pages.wrong && <Skeleton lines={3} /> : !pages.data.length ? (
				<Empty icon="server" title="No worker has called"><p>Start one with <code>reel-worker --url … --key …</code>; the key needs the scope <code>worker</code>.</p></Empty>
			) : (
				<ul class="rows">
					{pages.data.map(w => (
						<li key={w.id} class="card row wrap">
							<div class="grow"><strong>{w.name}</strong>
								<p class="muted small">{[w.gpu_name ?? w.gpu, w.vram_mb && `${Math.round(w.vram_mb / 1024)} GB`, w.version && `version ${w.version}`].filter(Boolean).join(' · ') || 'no GPU named'} · seen <When time={w.seen_at ?? w.beat_at} /></p>
								{w.generation_id && <p class="small">Works on <a href={`/admin/jobs/${w.generation_id}`}><code>{w.generation_id.slice(0, 13)}…</code></a></p>}
							</div>
							<span class="muted small">{w.completed ?? 0} done, {w.failed ?? 0} failed</span>
							<span class={`badge ${tones[w.state] ?? 'idle'}`}>{w.state}</span>
						</li>
					))}
				</ul>
			)}
		</AdminPage>
	);
}
