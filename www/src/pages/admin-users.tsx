// admin-users.tsx - who has an account, and giving or taking credits.
import { useState } from 'preact/hooks';
import { once, problem, type Problem } from '../api';
import { credits, signed } from '../logic/format';
import { tell } from '../store';
import type { AdminUser } from '../types';
import { AdminPage } from '../ui/admin-nav';
import { Icon } from '../ui/icon';
import { Dialog, Empty, More, Skeleton, Trouble, useTitle, When } from '../ui/kit';
import { useLater, usePages } from '../ui/use';

function Adjust({ user, onClose, done }: { user: AdminUser; onClose: () => void; done: (balance: number) => void }) {
	const [amount, setAmount] = useState('');
	const [note, setNote] = useState('');
	const [wrong, setWrong] = useState<Problem | null>(null);
	const [busy, setBusy] = useState(false);
	const n = Number(amount);
	const valid = /^[-−+]?\d{1,9}$/.test(amount.trim()) && n !== 0;
	const submit = async (e: Event) => {
		e.preventDefault();
		setBusy(true);
		setWrong(null);
		try {
			const got = await once<{ balance?: number; balance_after?: number }>(`credits.${user.id}`, `/admin/users/${user.id}/credits`, { amount: n, note: note.trim() });
			tell(`${signed(n)} credits for ${user.email}.`);
			done(got.balance ?? got.balance_after ?? user.balance + n);
			onClose();
		} catch (failure) { setWrong(problem(failure)); }
		setBusy(false);
	};
	return (
		<Dialog open onClose={onClose} title={`Credits of ${user.email}`}>
			<form class="stack" onSubmit={submit}>
				<p>Balance now: <strong>{credits(user.balance)}</strong></p>
				<label class="field"><span>Give (or take, with a minus)</span>
					<input inputMode="numeric" required value={amount} placeholder="100" onInput={e => setAmount(e.currentTarget.value.replace('−', '-'))} />
				</label>
				<label class="field"><span>Note, for the ledger</span>
					<input required maxLength={200} value={note} onInput={e => setNote(e.currentTarget.value)} />
				</label>
				{valid && user.balance + n >= 0 && <p class="muted small">Then: {credits(user.balance + n)}</p>}
				{valid && user.balance + n < 0 && <p class="error">A balance can’t go below zero.</p>}
				<Trouble of={wrong} />
				<footer>
					<button class="ghost" type="button" onClick={onClose}>Close</button>
					<button class="primary" type="submit" disabled={busy || !valid || !note.trim() || user.balance + n < 0}>{valid ? `${signed(n)} credits` : 'Change'}</button>
				</footer>
			</form>
		</Dialog>
	);
}

export default function Users() {
	useTitle('Users');
	const [words, setWords] = useState('');
	const q = useLater(words, 300);
	const pages = usePages<AdminUser>('/admin/users', { q: q || undefined });
	const [user, setUser] = useState<AdminUser | null>(null);
	return (
		<AdminPage title="Users" role="admin">
			<div class="filters" role="search">
				<label class="search"><Icon name="search" /><span class="hidden">Search users</span>
					<input type="search" value={words} placeholder="E-mail or name" onInput={e => setWords(e.currentTarget.value)} />
				</label>
			</div>
			<Trouble of={pages.wrong} again={pages.reload} />
			{!pages.data ? !pages.wrong && <Skeleton lines={5} /> : !pages.data.length ? <Empty icon="users" title="Nobody matches" /> : (
				<ul class="rows">
					{pages.data.map(u => (
						<li key={u.id} class="card row wrap">
							<div class="grow"><strong>{u.email}</strong>
								<p class="muted small">{[u.name, u.role, u.status !== 'active' && u.status].filter(Boolean).join(' · ')}{u.created_at ? <> · since <When time={u.created_at} /></> : null}</p></div>
							<span class="nowrap"><strong>{u.balance.toLocaleString('en')}</strong> <span class="muted small">credits</span></span>
							<button class="ghost" type="button" onClick={() => setUser(u)}><Icon name="coins" />Adjust<span class="hidden"> credits of {u.email}</span></button>
						</li>
					))}
				</ul>
			)}
			{pages.more && <More busy={pages.busy} onClick={pages.next} />}
			{user && <Adjust user={user} onClose={() => setUser(null)}
				done={balance => pages.edit(all => all.map(u => (u.id === user.id ? { ...u, balance } : u)))} />}
		</AdminPage>
	);
}
