// admin-providers.tsx - who makes the videos: how each provider is, with its
// accounts, what they cost today, and the switches.
import { useEffect, useRef, useState } from 'preact/hooks';
import { call, post, problem } from '../api';
import { money, span } from '../logic/format';
import { accountHealth, percent, providerHealth, testWords, type Health } from '../logic/provider';
import { atLeast, tell } from '../store';
import type { Account, Provider, ProviderTest } from '../types';
import { AccountForm } from '../ui/account-form';
import { AdminPage } from '../ui/admin-nav';
import { Icon } from '../ui/icon';
import { Confirm, Empty, Skeleton, Trouble, useNow, useTitle } from '../ui/kit';
import { PauseForm } from '../ui/pause-form';
import { usePages } from '../ui/use';

const REFRESH_MS = 5000;

type Asked =
	| { what: 'pause'; title: string; path: string }
	| { what: 'account'; provider: Provider; account: Account | null }
	| { what: 'remove'; provider: Provider; account: Account };

function Word({ of }: { of: Health }) {
	return <span class={`badge ${of.tone}`} title={of.why ?? undefined}>{of.word}</span>;
}

// The answer of a test stays where it was asked for.
function Test({ path }: { path: string }) {
	const [busy, setBusy] = useState(false);
	const [said, setSaid] = useState<{ good: boolean; text: string } | null>(null);
	const run = async () => {
		setBusy(true);
		setSaid(null);
		try {
			const got = await post<ProviderTest>(`${path}/test`);
			setSaid({ good: got.ok, text: testWords(got) });
		} catch (e) { setSaid({ good: false, text: problem(e).message }); }
		setBusy(false);
	};
	return (
		<>
			<button class="ghost" type="button" disabled={busy} onClick={run}>
				<Icon name={busy ? 'loader-circle' : 'activity'} class={busy ? 'spin' : ''} />Test
			</button>
			<p class={`small test-said ${said ? (said.good ? 'good' : 'error') : ''}`} role="status">{said?.text}</p>
		</>
	);
}

function AccountRow({ p, a, ask, reload }: { p: Provider; a: Account; ask: (a: Asked) => void; reload: () => void }) {
	const now = useNow();
	const health = accountHealth(a, p.needs_key, now);
	const path = `/admin/accounts/${a.id}`;
	const resume = () => call('POST', `${path}/resume`, { body: {} }).then(() => { tell(`${a.label} goes on.`); reload(); }, e => tell(problem(e).message, true));
	const key = a.key.source === 'none' ? (p.needs_key ? 'no key' : 'needs no key')
		: `key ${a.key.hint ? `…${a.key.hint} ` : ''}${a.key.source === 'stored' ? 'stored encrypted' : `from ${a.key.source === 'env' ? 'the environment' : 'a file'}`}`;
	return (
		<li class="account row wrap">
			<div class="grow">
				<strong>{a.label}</strong> <Word of={health} />
				<p class="muted small">{[key, a.base_url, `${a.in_flight} in flight`, a.limits.concurrency && `${a.limits.concurrency} at once`,
					a.limits.rpm && `${a.limits.rpm} per minute`, a.weight !== 1 && `weight ${a.weight}`,
					a.spend_today_micro_usd > 0 && `${money(a.spend_today_micro_usd, 'USD')} today`].filter(Boolean).join(' · ')}</p>
				{health.why && <p class="small">{health.why}</p>}
			</div>
			{atLeast('admin') && (
				<div class="actions">
					<Test path={path} />
					{health.word === 'Paused' || health.word === 'Broken' || a.circuit.state === 'open'
						? <button class="ghost" type="button" onClick={resume}><Icon name="play" />Resume</button>
						: <button class="ghost" type="button" onClick={() => ask({ what: 'pause', title: `${a.label} of ${p.title}`, path })}><Icon name="pause" />Pause</button>}
					<button class="ghost" type="button" onClick={() => ask({ what: 'account', provider: p, account: a })}><Icon name="settings-2" />Edit</button>
					{a.label !== 'default' && (
						<button class="icon-button" type="button" aria-label={`Remove ${a.label} of ${p.title}`} onClick={() => ask({ what: 'remove', provider: p, account: a })}><Icon name="trash-2" /></button>
					)}
				</div>
			)}
		</li>
	);
}

function Card({ p, ask, reload }: { p: Provider; ask: (a: Asked) => void; reload: () => void }) {
	const now = useNow();
	const health = providerHealth(p, now);
	const path = `/admin/providers/${p.name}`;
	const rate = percent(p.requests.error_rate_1h);
	const resume = () => call('POST', `${path}/resume`, { body: {} }).then(() => { tell(`${p.title} goes on.`); reload(); }, e => tell(problem(e).message, true));
	const active = p.routes.filter(r => r.active).length;
	const facts: [string, string][] = [
		['In flight', p.in_flight.toLocaleString('en')], ['Waiting', p.queued.toLocaleString('en')],
		['Sent, 1 h', p.requests.submitted_1h.toLocaleString('en')], ['Failed, 1 h', rate ?? '–'],
		['Takes about', p.median_s === null ? '–' : span(p.median_s * 1000)], ['Spent today', money(p.spend_today_micro_usd, 'USD')],
	];
	return (
		<li class="card stack provider" id={p.name}>
			<div class="row wrap">
				<h2 class="grow">{p.title} <Word of={health} /></h2>
				{atLeast('admin') && (
					<div class="actions">
						{health.word === 'Paused' || health.word === 'Broken'
							? <button class="ghost" type="button" onClick={resume}><Icon name="play" />Resume</button>
							: <button class="ghost" type="button" onClick={() => ask({ what: 'pause', title: p.title, path })}><Icon name="pause" />Pause all</button>}
						<button class="ghost" type="button" onClick={() => ask({ what: 'account', provider: p, account: null })}><Icon name="plus" />Account</button>
					</div>
				)}
			</div>
			{(p.waiting_reason ?? (health.word === 'Paused' ? health.why : null)) && <p class="note warn"><Icon name="hourglass" />{p.waiting_reason ?? health.why}</p>}
			<dl class="now-strip">{facts.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
			<ul class="accounts">{p.accounts.map(a => <AccountRow key={a.id} p={p} a={a} ask={ask} reload={reload} />)}</ul>
			<p class="muted small">{active} of {p.routes.length} {p.routes.length === 1 ? 'model route is' : 'model routes are'} on
				{p.webhooks ? ' · calls back' : ' · is asked, does not call back'}
				{p.result_lifetime_s ? ` · keeps results for ${span(p.result_lifetime_s * 1000)}` : ''}</p>
		</li>
	);
}

export default function Providers() {
	useTitle('Providers');
	const pages = usePages<Provider>('/admin/providers', {});
	const reload = useRef(pages.reload);
	reload.current = pages.reload;
	const [asked, ask] = useState<Asked | null>(null);
	useEffect(() => {
		const timer = setInterval(() => { if (!document.hidden) reload.current(); }, REFRESH_MS);
		return () => clearInterval(timer);
	}, []);
	const close = () => ask(null);
	const shown = pages.data?.filter(p => p.kind !== 'manual') ?? [];
	const set = shown.filter(p => p.configured), bare = shown.filter(p => !p.configured);
	return (
		<AdminPage title="Providers">
			<Trouble of={pages.wrong} again={pages.reload} />
			{!pages.data ? !pages.wrong && <Skeleton lines={6} /> : !shown.length ? <Empty icon="server" title="There are no providers" /> : (
				<>
					<ul class="rows">{set.map(p => <Card key={p.name} p={p} ask={ask} reload={pages.reload} />)}</ul>
					{bare.length > 0 && (
						<section class="card stack bare" aria-labelledby="bare">
							<h2 id="bare" class="section-title"><Icon name="key-round" />Waiting for a key</h2>
							<ul class="rows">{bare.map(p => (
								<li key={p.name} class="row wrap"><span class="grow">{p.title} <span class="muted small">{p.routes.length} {p.routes.length === 1 ? 'route' : 'routes'}</span></span>
									{atLeast('admin') && <button class="ghost" type="button" onClick={() => ask({ what: 'account', provider: p, account: null })}><Icon name="plus" />Add a key<span class="hidden"> for {p.title}</span></button>}
								</li>
							))}</ul>
						</section>
					)}
				</>
			)}
			{asked?.what === 'pause' && <PauseForm what={asked.title} path={asked.path} onClose={close} done={pages.reload} />}
			{asked?.what === 'account' && <AccountForm provider={asked.provider} account={asked.account} onClose={close} done={pages.reload} />}
			<Confirm open={asked?.what === 'remove'} onClose={close} title="Remove this account" action="Remove it" danger
				run={async () => { if (asked?.what === 'remove') { await call('DELETE', `/admin/accounts/${asked.account.id}`); pages.reload(); } }}>
				<p>{asked?.what === 'remove' && `Nothing new is sent with ${asked.account.label} of ${asked.provider.title}. What runs there is still fetched.`}</p>
			</Confirm>
		</AdminPage>
	);
}
