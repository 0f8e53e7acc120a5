// improve.tsx - rewrites the prompt in place by a language model, and back.
// Shown only where the server has one.
import { useEffect, useRef, useState } from 'preact/hooks';
import { call, get, problem } from '../api';
import { tell } from '../store';
import { Icon } from './icon';

interface Limits { enhance?: { available: boolean } }
interface Improved { enhanced_prompt: string; changed: boolean; fallback: boolean }

export function Improve({ prompt, negative, model, set }: {
	prompt: string; negative: string; model: string; set: (text: string) => void;
}) {
	const [offered, setOffered] = useState(false);
	const [busy, setBusy] = useState(false);
	// What it was, as long as nobody wrote on.
	const [was, setWas] = useState<{ before: string; after: string } | null>(null);
	const now = useRef(prompt);
	now.current = prompt;
	const asked = useRef<AbortController | null>(null);
	useEffect(() => {
		const stop = new AbortController();
		get<Limits>('/me/limits', stop.signal).then(l => setOffered(l.enhance?.available === true), () => {});
		return () => {
			stop.abort();
			asked.current?.abort();
		};
	}, []);
	if (!offered) return null;

	const improve = async () => {
		const before = prompt;
		const stop = new AbortController();
		asked.current = stop;
		setBusy(true);
		try {
			const made = await call<Improved>('POST', '/prompts/enhance', { signal: stop.signal,
				body: { prompt: before, content_type: 'video', model, ...(negative ? { negative_prompt: negative } : {}) } });
			if (now.current !== before) tell('You wrote on meanwhile, so your words were kept.');
			else if (made.changed) {
				setWas({ before, after: made.enhanced_prompt });
				set(made.enhanced_prompt);
			} else tell(made.fallback ? 'No better words came back. Yours were kept.' : 'It is good as it is.');
		} catch (e) {
			if (!stop.signal.aborted) tell(problem(e).message, true);
		} finally {
			if (!stop.signal.aborted) setBusy(false);
		}
	};
	const undone = was !== null && was.after === prompt ? was.before : null;
	return (
		<div class="improve" aria-live="polite">
			{undone !== null && !busy && (
				<button type="button" class="chip" onClick={() => { setWas(null); set(undone); }}>
					<Icon name="undo-2" size={16} />Undo
				</button>
			)}
			<button type="button" class="chip" disabled={busy || !prompt.trim()} aria-busy={busy} onClick={improve}>
				<Icon name={busy ? 'loader-circle' : 'sparkles'} size={16} class={busy ? 'spin' : ''} />
				{busy ? 'Improving…' : 'Improve'}
			</button>
		</div>
	);
}
