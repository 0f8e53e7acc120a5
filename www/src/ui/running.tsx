// running.tsx - the user's generations that have not ended, live.
import { stage, waiting } from '../logic/status';
import type { Generation } from '../types';
import { Badge, Bar } from './kit';

export function Running({ of }: { of: readonly Generation[] }) {
	return (
		<section class="running" aria-labelledby="running">
			<h2 id="running" class="section-title">In the works</h2>
			<ul>
				{of.slice(0, 6).map(g => (
					<li key={g.id}>
						<a class="card running-card" href={`/generations/${g.id}`}>
							<span class="row"><strong class="one-line">{g.title || g.prompt || g.model_name}</strong><Badge status={g.status} /></span>
							{g.status === 'processing' || g.status === 'finalizing' || g.status === 'cancelling'
								? <Bar of={g} /> : <span class="muted small">{waiting(g) ?? stage(g)}</span>}
						</a>
					</li>
				))}
			</ul>
			{of.length > 6 && <a class="button ghost" href="/history?status=pending,processing,queued">All {of.length}</a>}
		</section>
	);
}
