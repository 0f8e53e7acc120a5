// timeline.tsx - the states a generation went through, when, and for how long.
import { clock, iso, span } from '../logic/format';
import { timeline } from '../logic/status';
import type { GenEvent, Time } from '../types';

export function Timeline({ events, created, over }: { events: readonly GenEvent[]; created: Time; over: boolean }) {
	const steps = timeline(events, created);
	if (!steps.length) return null;
	return (
		<ol class="timeline" aria-label="What happened">
			{steps.map((step, i) => {
				const last = i === steps.length - 1;
				return (
					<li key={step.key} class={`${step.tone} ${last && !over ? 'current' : ''}`} aria-current={last && !over ? 'step' : undefined}>
						<span>{step.label}</span>
						<span class="muted small">
							<time dateTime={iso(step.at)} title={iso(step.at)}>{clock(step.at)}</time>
							{step.took !== null && step.took >= 50 ? ` · ${span(step.took)}` : ''}
						</span>
					</li>
				);
			})}
		</ol>
	);
}
