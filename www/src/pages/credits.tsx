// credits.tsx - the balance and every movement that made it.
import { clock, day, iso, ms, signed } from '../logic/format';
import { balance } from '../store';
import type { LedgerEntry } from '../types';
import { Empty, More, Skeleton, Trouble, useTitle } from '../ui/kit';
import { ledgerType } from '../ui/receipt';
import { usePages } from '../ui/use';
import { Icon } from '../ui/icon';
import { useEffect, useRef } from 'preact/hooks';

export default function Credits() {
	useTitle('Credits');
	const pages = usePages<LedgerEntry>('/credits/ledger', { limit: '50' });
	// The balance moved: so did the ledger.
	const known = useRef(balance.value);
	useEffect(() => {
		if (known.current !== null && known.current !== balance.value) pages.reload();
		known.current = balance.value;
	}, [balance.value]);
	return (
		<div class="page narrow">
			<header class="page-head"><h1>Credits</h1></header>
			<section class="card balance-card" aria-label="Balance">
				<Icon name="coins" size={28} />
				<p><strong aria-live="polite">{balance.value?.toLocaleString('en') ?? '–'}</strong><span class="muted">credits to spend</span></p>
				<p class="muted small grow">An admin of this server adds credits. A video that fails gives its credits back by itself.</p>
			</section>
			<h2 class="section-title">Ledger</h2>
			<Trouble of={pages.wrong} again={pages.reload} />
			{!pages.data ? !pages.wrong && <Skeleton lines={6} /> : pages.data.length === 0 ? (
				<Empty icon="receipt" title="Nothing has moved yet"><p>Every charge and refund will be listed here, with the balance after it.</p></Empty>
			) : (
				<div class="card table-card">
					<table class="table">
						<thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col" class="num">Amount</th><th scope="col" class="num">Balance</th></tr></thead>
						<tbody>
							{pages.data.map(e => {
								const at = ms(e.created_at) ?? 0;
								return (
									<tr key={e.id}>
										<td class="nowrap"><time dateTime={iso(at)} title={iso(at)}>{day(at)}<span class="muted small"> {clock(at)}</span></time></td>
										<td>{e.generation_id ? <a href={`/generations/${e.generation_id}`}>{ledgerType(e.type)}</a> : ledgerType(e.type)}
											{e.note && <span class="muted small block">{e.note}</span>}</td>
										<td class={`num ${e.amount > 0 ? 'plus' : ''}`}>{signed(e.amount)}</td>
										<td class="num">{e.balance_after.toLocaleString('en')}</td>
									</tr>
								);
							})}
						</tbody>
					</table>
				</div>
			)}
			{pages.more && <More busy={pages.busy} onClick={pages.next} />}
		</div>
	);
}
