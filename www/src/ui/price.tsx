// price.tsx - what it costs, line by line, and what is left.
import { credits, money, signed } from '../logic/format';
import { balance } from '../store';
import type { Estimate } from '../types';

export function Price({ estimate, busy, poor }: { estimate: Estimate | null; busy: boolean; poor: boolean }) {
	const value = estimate?.credit_value;
	const have = balance.value ?? estimate?.balance ?? 0;
	return (
		<div class="price" aria-busy={busy}>
			<p class="price-total" aria-live="polite">
				<strong>{estimate ? estimate.credits.toLocaleString('en') : '–'}</strong>
				<span>credits{value && estimate ? ` · ${money(estimate.credits * value.amount_micro, value.currency)}` : ''}</span>
			</p>
			<ul class="lines">
				{(estimate?.breakdown ?? []).map(line => (
					<li key={line.code + line.label}><span>{line.label}</span><span>{line.credits.toLocaleString('en')}</span></li>
				))}
				<li class="total"><span>Your balance</span><span>{have.toLocaleString('en')}</span></li>
				{estimate && <li class={poor ? 'error' : 'muted'}><span>{poor ? 'Missing' : 'Left afterwards'}</span>
					<span>{poor ? credits(estimate.credits - have) : signed(have - estimate.credits).replace('+', '')}</span></li>}
			</ul>
			{poor && <p class="note warn">Not enough credits. An admin can add some, or choose shorter or smaller.</p>}
		</div>
	);
}
