// icon.tsx - one icon of the sprite; decoration only, so hidden from readers.
import sprite from 'virtual:icons';
import type { IconName } from './icon-names';

// A sprite's URL may come as an absolute one: <use> needs the same origin.
export function Icon({ name, size = 18, class: more }: { name: IconName; size?: number; class?: string }) {
	return (
		<svg class={more ? `icon ${more}` : 'icon'} width={size} height={size} aria-hidden="true" focusable="false">
			<use href={`${sprite}#${name}`} />
		</svg>
	);
}
