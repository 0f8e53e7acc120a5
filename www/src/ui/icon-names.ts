// icon-names.ts - the icons of the sprite (lucide's names), read by
// tools/icons.mjs too: one quoted name per icon and nothing else in quotes.
export const names = [
	'activity', 'arrow-left', 'arrow-right', 'ban', 'check', 'chevron-down',
	'circle-check', 'circle-dot', 'circle-x', 'clapperboard', 'clock', 'coins',
	'copy', 'download', 'ellipsis', 'eye', 'film', 'history', 'hourglass',
	'image-plus', 'key-round', 'keyboard', 'link', 'loader-circle', 'log-out',
	'monitor', 'moon', 'pause', 'play', 'plus', 'receipt', 'rotate-cw', 'search',
	'server', 'settings-2', 'shield', 'sparkles', 'star', 'sun', 'terminal',
	'trash-2', 'triangle-alert', 'undo-2', 'users', 'volume-2', 'wifi-off', 'x',
] as const;

export type IconName = (typeof names)[number];
