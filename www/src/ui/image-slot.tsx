// image-slot.tsx - an image for a generation: chosen, dropped, or taken back.
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { call, get, problem } from '../api';
import type { Asset } from '../types';
import { Icon } from './icon';

const MAX = 10 * 1024 * 1024;

export function ImageSlot({ label, purpose, field, id, error, set }: {
	label: string; purpose: 'start' | 'end'; field: string; id: string | null; error?: string; set: (id: string | null) => void;
}) {
	const name = useId();
	const input = useRef<HTMLInputElement>(null);
	const [asset, setAsset] = useState<Asset | null>(null);
	const [busy, setBusy] = useState(false);
	const [over, setOver] = useState(false);
	const [wrong, setWrong] = useState<string | null>(null);

	useEffect(() => {
		if (!id) { setAsset(null); return; }
		if (asset?.id === id) return;
		get<Asset>(`/assets/${id}`).then(setAsset, e => { setWrong(problem(e).message); set(null); });
	}, [id]);

	const take = async (file: File | undefined | null) => {
		if (!file) return;
		setWrong(null);
		if (!file.type.startsWith('image/')) { setWrong('This is not an image: take a JPEG, PNG or WebP.'); return; }
		if (file.size > MAX) { setWrong('Images may have 10 MB at most.'); return; }
		setBusy(true);
		try {
			const form = new FormData();
			form.set('purpose', purpose);
			form.set('file', file);
			const made = await call<Asset>('POST', '/uploads', { form });
			setAsset(made);
			set(made.id);
		} catch (e) { setWrong(problem(e).message); }
		setBusy(false);
		if (input.current) input.current.value = '';
	};

	const said = wrong ?? error;
	return (
		<div class={`slot ${over ? 'over' : ''}`}
			onDragOver={e => { e.preventDefault(); setOver(true); }} onDragLeave={() => setOver(false)}
			onDrop={e => { e.preventDefault(); setOver(false); void take(e.dataTransfer?.files[0]); }}>
			<span id={name} class="slot-label">{label}</span>
			{asset ? (
				<div class="slot-image">
					<img src={asset.url} width={asset.width} height={asset.height} alt={label} />
					<button class="icon-button solid" type="button" aria-label={`Remove: ${label}`} onClick={() => { setAsset(null); set(null); }}><Icon name="x" /></button>
				</div>
			) : (
				<label class="slot-drop">
					<input ref={input} data-field={field} type="file" accept="image/jpeg,image/png,image/webp" aria-labelledby={name}
						aria-invalid={said ? 'true' : undefined} disabled={busy} onChange={e => void take(e.currentTarget.files?.[0])} />
					<Icon name={busy ? 'loader-circle' : 'image-plus'} size={24} class={busy ? 'spin' : ''} />
					<span>{busy ? 'Uploading' : 'Drop an image, or choose one'}</span>
				</label>
			)}
			{said && <p class="error" role="alert">{said}</p>}
		</div>
	);
}
