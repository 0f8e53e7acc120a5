// player.tsx - the browser's own player, in a box whose size is known before.
import { useState } from 'preact/hooks';
import { Icon } from './icon';

export function Player({ src, poster, title, width, height }: {
	src: string; poster: string | null; title: string; width: number; height: number;
}) {
	const [broken, setBroken] = useState(false);
	if (broken) {
		return (
			<div class="stage-wait bad">
				<Icon name="triangle-alert" size={32} />
				<p>This browser can’t play the file. It can still be downloaded.</p>
				<button class="ghost" type="button" onClick={() => setBroken(false)}>Try again</button>
			</div>
		);
	}
	return (
		<video controls playsInline loop preload="metadata" src={src} poster={poster ?? undefined} width={width} height={height}
			aria-label={title} onError={() => setBroken(true)} />
	);
}
