// model-picker.tsx - the catalogue in a dialog: search, kind, price.
import { useState } from 'preact/hooks';
import type { Model } from '../types';
import { Icon } from './icon';
import { Dialog } from './kit';

const kinds: [string, string][] = [['', 'All'], ['t2v', 'From text'], ['i2v', 'From an image']];

function matches(m: Model, words: string, kind: string): boolean {
	if (kind && !m.modes.includes(kind)) return false;
	const text = `${m.name} ${m.slug} ${m.provider} ${m.provider_name ?? ''} ${m.category} ${(m.tags ?? []).join(' ')}`.toLowerCase();
	return words.toLowerCase().split(/\s+/).every(w => text.includes(w));
}

export function ModelPicker({ open, onClose, models, chosen, choose }: {
	open: boolean; onClose: () => void; models: readonly Model[]; chosen: string; choose: (m: Model) => void;
}) {
	const [words, setWords] = useState('');
	const [kind, setKind] = useState('');
	const found = models.filter(m => matches(m, words, kind))
		.sort((a, b) => Number(b.available) - Number(a.available));
	return (
		<Dialog open={open} onClose={onClose} title="Models" wide>
			<div class="picker-bar">
				<label class="search"><Icon name="search" /><span class="hidden">Search models</span>
					<input type="search" value={words} placeholder="Name, provider, tag" onInput={e => setWords(e.currentTarget.value)} />
				</label>
				<div class="chips" role="group" aria-label="Kind">
					{kinds.map(([value, text]) => (
						<button key={value} type="button" class="chip" aria-pressed={kind === value} onClick={() => setKind(value)}>{text}</button>
					))}
				</div>
			</div>
			<ul class="picker">
				{found.map(m => (
					<li key={m.slug}>
						<button type="button" class="model-card" aria-pressed={m.slug === chosen} disabled={!m.available} onClick={() => choose(m)}>
							<span class="row"><strong>{m.name}</strong>{m.slug === chosen && <Icon name="check" size={16} />}</span>
							<span class="muted small two-lines">{m.available ? m.description : m.unavailable_reason ?? 'Not available now'}</span>
							<span class="tags small">
								{m.modes.includes('i2v') && <i>image</i>}
								{m.capabilities.audio && m.capabilities.audio !== 'none' && <i>sound</i>}
								{m.premium && <i>premium</i>}{m.experimental && <i>experimental</i>}{m.deprecated && <i>old</i>}
							</span>
							<span class="row small muted">
								<span class="one-line">{m.provider_name || m.provider}</span>
								{m.from_credits !== null && m.from_credits !== undefined && <b>from {m.from_credits.toLocaleString('en')}</b>}
							</span>
						</button>
					</li>
				))}
			</ul>
			{!found.length && <p class="muted centre" role="status">No model matches. Try fewer words.</p>}
		</Dialog>
	);
}
