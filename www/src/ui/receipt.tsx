// receipt.tsx - what was charged and why, and every movement of credits since.
import { ms, clock, day, iso, signed } from '../logic/format';
import type { Generation, LedgerEntry, Receipt } from '../types';
import { Icon } from './icon';

const types: Record<string, string> = {
	video_generation: 'Charged', video_refund: 'Refunded', settle_refund: 'Settled lower: given back',
	adjustment: 'Adjustment', bonus: 'Bonus', promo: 'Promotion', purchase: 'Purchase',
	subscription_grant: 'Subscription', expire: 'Expired', transfer: 'Transfer',
};

export function ledgerType(type: string): string {
	return types[type] ?? type.replaceAll('_', ' ');
}

const states: Record<string, string> = {
	charged: 'Charged', settled: 'Settled', refunded: 'Refunded',
	partially_refunded: 'Partly refunded', in_review: 'In review',
};

export function Entries({ of }: { of: readonly LedgerEntry[] }) {
	return (
		<ul class="lines">
			{of.map(e => {
				const at = ms(e.created_at);
				return (
					<li key={e.id}>
						<span>{ledgerType(e.type)}{at !== null && <time class="muted small" dateTime={iso(at)} title={iso(at)}> {day(at)}, {clock(at)}</time>}</span>
						<span class={e.amount > 0 ? 'plus' : ''}>{signed(e.amount)}</span>
					</li>
				);
			})}
		</ul>
	);
}

export function ReceiptCard({ receipt, g }: { receipt: Receipt | null; g: Generation }) {
	if (!receipt && !g.charge) return null;
	const total = receipt?.credits ?? receipt?.quote ?? g.charge?.credits ?? g.credits;
	const state = g.charge?.state ?? receipt?.state ?? '';
	return (
		<section class="card stack" aria-labelledby="receipt">
			<div class="row"><h2 id="receipt" class="section-title grow"><Icon name="receipt" />Receipt</h2><span class="muted small">{states[state] ?? state}</span></div>
			<ul class="lines">
				{(receipt?.breakdown ?? []).map(line => (
					<li key={line.code + line.label}><span>{line.label}</span><span>{line.credits.toLocaleString('en')}</span></li>
				))}
				<li class="total"><span>Price</span><span>{total.toLocaleString('en')}</span></li>
				{!!receipt?.fee && <li><span>Kept, because the provider refused the content</span><span>{receipt.fee.toLocaleString('en')}</span></li>}
			</ul>
			{receipt && receipt.entries?.length > 0 && (
				<>
					<h3 class="muted small">In your ledger</h3>
					<Entries of={receipt.entries} />
				</>
			)}
		</section>
	);
}
