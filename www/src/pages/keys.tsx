// keys.tsx - API keys: made once, shown once, revoked at will.
import { useState } from 'preact/hooks';
import { call, post, problem, type Problem } from '../api';
import { atLeast, tell } from '../store';
import type { ApiKey } from '../types';
import { Icon } from '../ui/icon';
import { Confirm, Copy, Dialog, Empty, Skeleton, Trouble, useTitle, When } from '../ui/kit';
import { usePages } from '../ui/use';

const scopes: [string, string, string][] = [
	['read', 'Read', 'see generations, credits and models'],
	['generate', 'Generate', 'make videos and spend credits'],
	['worker', 'Worker', 'take jobs as a GPU worker'],
	['admin', 'Admin', 'everything an operator may do'],
];

function Make({ open, onClose, made }: { open: boolean; onClose: () => void; made: () => void }) {
	const [name, setName] = useState('');
	const [chosen, setChosen] = useState<string[]>(['read', 'generate']);
	const [secret, setSecret] = useState<string | null>(null);
	const [wrong, setWrong] = useState<Problem | null>(null);
	const [busy, setBusy] = useState(false);
	const close = () => { setSecret(null); setName(''); setWrong(null); onClose(); };
	const submit = async (e: Event) => {
		e.preventDefault();
		setBusy(true);
		setWrong(null);
		try {
			const key = await post<Record<string, string>>('/keys', { name: name.trim(), scopes: chosen });
			setSecret(key.key ?? key.secret ?? key.token ?? null);
			made();
		} catch (failure) { setWrong(problem(failure)); }
		setBusy(false);
	};
	return (
		<Dialog open={open} onClose={close} title={secret ? 'Your new key' : 'New API key'}>
			{secret ? (
				<div class="stack">
					<p>Copy it now: it is not shown again.</p>
					<div class="command"><code class="break">{secret}</code><Copy text={secret} /></div>
					<footer><button class="primary" type="button" onClick={close}>I have it</button></footer>
				</div>
			) : (
				<form class="stack" onSubmit={submit}>
					<label class="field"><span>Name</span>
						<input required maxLength={80} value={name} placeholder="What it is for" onInput={e => setName(e.currentTarget.value)} />
					</label>
					<fieldset class="checks"><legend>It may</legend>
						{scopes.filter(([s]) => (s !== 'admin' && s !== 'worker') || atLeast('operator')).map(([s, text, what]) => (
							<label key={s}>
								<input type="checkbox" checked={chosen.includes(s)}
									onChange={e => setChosen(e.currentTarget.checked ? [...chosen, s] : chosen.filter(one => one !== s))} />
								<span><strong>{text}</strong> <span class="muted small">{what}</span></span>
							</label>
						))}
					</fieldset>
					<Trouble of={wrong} />
					<footer>
						<button class="ghost" type="button" onClick={close}>Close</button>
						<button class="primary" type="submit" disabled={busy || !name.trim() || !chosen.length}>Make the key</button>
					</footer>
				</form>
			)}
		</Dialog>
	);
}

export default function Keys() {
	useTitle('API keys');
	const pages = usePages<ApiKey>('/keys', {});
	const [making, setMaking] = useState(false);
	const [revoking, setRevoking] = useState<ApiKey | null>(null);
	const revoke = async () => {
		await call('DELETE', `/keys/${revoking!.id}`);
		pages.edit(all => all.filter(k => k.id !== revoking!.id));
		tell('The key does not work any more.');
	};
	return (
		<div class="page narrow">
			<header class="page-head row wrap">
				<h1 class="grow">API keys</h1>
				<button class="primary" type="button" onClick={() => setMaking(true)}><Icon name="plus" />New key</button>
			</header>
			<Trouble of={pages.wrong} again={pages.reload} />
			{!pages.data ? !pages.wrong && <Skeleton lines={3} /> : !pages.data.length ? (
				<Empty icon="key-round" title="No keys yet"><p>A key lets a program do what you can do here: make videos, follow them, read the ledger.</p></Empty>
			) : (
				<ul class="rows">
					{pages.data.map(k => (
						<li key={k.id} class="card row wrap">
							<div class="grow">
								<strong>{k.name}</strong>
								<p class="muted small">{k.prefix && <><code>{k.prefix}…</code> · </>}{(k.scopes ?? []).join(', ')} · made <When time={k.created_at} /> · {k.last_used_at ? <>used <When time={k.last_used_at} /></> : 'never used'}</p>
							</div>
							<button class="ghost" type="button" onClick={() => setRevoking(k)}><Icon name="trash-2" />Revoke<span class="hidden"> {k.name}</span></button>
						</li>
					))}
				</ul>
			)}
			<Make open={making} onClose={() => setMaking(false)} made={pages.reload} />
			<Confirm open={revoking !== null} onClose={() => setRevoking(null)} title="Revoke this key?" action="Revoke" danger run={revoke}>
				<p>Programs that use <strong>{revoking?.name}</strong> stop working at once. This can’t be undone.</p>
			</Confirm>
		</div>
	);
}
