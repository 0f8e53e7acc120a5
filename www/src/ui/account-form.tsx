// account-form.tsx - adds an account of a provider, or changes one.  A key goes
// in and is never shown again.
import { useState } from 'preact/hooks';
import { call, once, problem, type Problem } from '../api';
import { limitOf } from '../logic/provider';
import { tell } from '../store';
import type { Account, Provider } from '../types';
import { Dialog, Trouble } from './kit';

type Source = 'key' | 'key_env' | 'key_file';
const sources: [Source, string][] = [['key', 'Stored encrypted'], ['key_env', 'From the environment'], ['key_file', 'From a file']];
const hints = { key_env: 'PROVIDER_KEY_TEAM_B', key_file: 'team-b' };

export function AccountForm({ provider, account, onClose, done }: {
	provider: Provider; account: Account | null; onClose: () => void; done: () => void;
}) {
	const [label, setLabel] = useState(account?.label ?? '');
	const [source, setSource] = useState<Source>('key');
	const [key, setKey] = useState('');
	const [base, setBase] = useState(account?.base_url ?? '');
	const [weight, setWeight] = useState(String(account?.weight ?? 1));
	const [concurrency, setConcurrency] = useState(String(account?.limits.concurrency ?? ''));
	const [rpm, setRpm] = useState(String(account?.limits.rpm ?? ''));
	const [wrong, setWrong] = useState<Problem | null>(null);
	const [busy, setBusy] = useState(false);
	// What comes from the configuration is changed there.
	const fixed = account !== null && account.label === 'default';
	const limits = { concurrency: limitOf(concurrency), rpm: limitOf(rpm) };
	const sure = label.trim() && /^\d{1,4}$/.test(weight.trim()) && limits.concurrency !== undefined && limits.rpm !== undefined
		&& (account || !provider.needs_key || key.trim());

	const submit = async (e: Event) => {
		e.preventDefault();
		setBusy(true);
		setWrong(null);
		const body: Record<string, unknown> = { weight: Number(weight), limits: { concurrency: limits.concurrency ?? 0, rpm: limits.rpm ?? 0 } };
		if (!fixed) {
			// Only what was changed: the address on the page may be the provider's own.
			if (label.trim() !== account?.label) body.label = label.trim();
			if (base.trim() !== (account?.base_url ?? '')) body.base_url = base.trim();
			if (key.trim()) body[source] = key.trim();
		}
		try {
			if (account) await call('PATCH', `/admin/accounts/${account.id}`, { body });
			else await once(`account.${provider.name}`, `/admin/providers/${provider.name}/accounts`, body);
			tell(account ? `${label} of ${provider.title} is changed.` : `${label} of ${provider.title} is added.`);
			done();
			onClose();
		} catch (failure) {
			setWrong(problem(failure));
			setBusy(false);
		}
	};
	const bad = (field: string) => wrong?.fields[field] && <span class="error">{wrong.fields[field]}</span>;
	return (
		<Dialog open onClose={onClose} title={account ? `${account.label} of ${provider.title}` : `Another account of ${provider.title}`}>
			<form class="stack" onSubmit={submit}>
				{!fixed && (
					<>
						<label class="field"><span>Name, for people</span>
							<input required maxLength={40} value={label} placeholder="team-b" onInput={e => setLabel(e.currentTarget.value)} />{bad('label')}
						</label>
						{provider.needs_key && (
							<>
								<fieldset class="segments" aria-label="Where the key is"><legend class="hidden">Where the key is</legend>
									{sources.map(([value, text]) => (
										<label key={value}><input type="radio" name="source" checked={source === value} onChange={() => setSource(value)} /><span>{text}</span></label>
									))}
								</fieldset>
								<label class="field"><span>{account ? 'New key (empty: as it is)' : 'Key'}</span>
									{source === 'key'
										? <input type="password" autoComplete="off" maxLength={4000} value={key} onInput={e => setKey(e.currentTarget.value)} />
										: <input autoComplete="off" maxLength={4000} value={key} placeholder={hints[source]} onInput={e => setKey(e.currentTarget.value)} />}{bad(source)}
								</label>
							</>
						)}
						<label class="field"><span>Address (empty: the provider’s own)</span>
							<input type="url" maxLength={400} value={base} placeholder="https://…" onInput={e => setBase(e.currentTarget.value)} />{bad('base_url')}
						</label>
					</>
				)}
				{fixed && <p class="muted small">Its key and address come from the configuration; these can be changed here:</p>}
				<div class="columns">
					<label class="field"><span>At once</span>
						<input inputMode="numeric" value={concurrency} placeholder={String(provider.limits.concurrency ?? 'no limit')} onInput={e => setConcurrency(e.currentTarget.value)} /></label>
					<label class="field"><span>Per minute</span>
						<input inputMode="numeric" value={rpm} placeholder={String(provider.limits.rpm ?? 'no limit')} onInput={e => setRpm(e.currentTarget.value)} /></label>
					<label class="field"><span>Weight</span>
						<input inputMode="numeric" value={weight} onInput={e => setWeight(e.currentTarget.value)} /></label>
				</div>
				{bad('limits')}{bad('weight')}
				<Trouble of={wrong} />
				<footer>
					<button class="ghost" type="button" onClick={onClose}>Close</button>
					<button class="primary" type="submit" disabled={busy || !sure}>{account ? 'Change' : 'Add the account'}</button>
				</footer>
			</form>
		</Dialog>
	);
}
