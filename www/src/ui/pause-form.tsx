// pause-form.tsx - stops what is sent to a provider or with one account, for a
// while, and says why to everybody who looks.
import { useState } from 'preact/hooks';
import { call, problem, type Problem } from '../api';
import { tell } from '../store';
import { Dialog, Trouble } from './kit';

const spans: [string, number | null][] = [['15 minutes', 900], ['1 hour', 3600], ['1 day', 86400], ['Until resumed', null]];

export function PauseForm({ what, path, onClose, done }: { what: string; path: string; onClose: () => void; done: () => void }) {
	const [seconds, setSeconds] = useState<number | null>(3600);
	const [reason, setReason] = useState('');
	const [wrong, setWrong] = useState<Problem | null>(null);
	const [busy, setBusy] = useState(false);
	const submit = async (e: Event) => {
		e.preventDefault();
		setBusy(true);
		setWrong(null);
		try {
			await call('POST', `${path}/pause`, { body: { reason: reason.trim(), ...(seconds ? { seconds } : {}) } });
			tell(`${what} is paused.`);
			done();
			onClose();
		} catch (failure) {
			setWrong(problem(failure));
			setBusy(false);
		}
	};
	return (
		<Dialog open onClose={onClose} title={`Pause ${what}`}>
			<form class="stack" onSubmit={submit}>
				<p>Nothing new is sent. What runs there goes on, is fetched and paid as ordered; what waits goes another way, or waits.</p>
				<fieldset class="choices"><legend>How long</legend>
					<div>{spans.map(([text, value]) => (
						<label key={text}><input type="radio" name="span" checked={seconds === value} onChange={() => setSeconds(value)} /><span>{text}</span></label>
					))}</div>
				</fieldset>
				<label class="field"><span>Reason</span>
					<input required maxLength={200} value={reason} placeholder="their status page says so" onInput={e => setReason(e.currentTarget.value)} />
				</label>
				<Trouble of={wrong} />
				<footer>
					<button class="ghost" type="button" onClick={onClose}>Leave it</button>
					<button class="primary" type="submit" disabled={busy || !reason.trim()}>Pause</button>
				</footer>
			</form>
		</Dialog>
	);
}
