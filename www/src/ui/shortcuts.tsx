// shortcuts.tsx - the list of keys, and the switch that turns them off.
import { setShortcuts, shortcuts } from '../theme';
import { atLeast } from '../store';
import { Dialog } from './kit';

export function Shortcuts({ close }: { close: () => void }) {
	const keys: [string[], string][] = [
		[['g', 'c'], 'Create'], [['g', 'h'], 'History'], [['/'], 'Search on this page'], [['?'], 'This list'],
	];
	if (atLeast('operator')) keys.splice(2, 0, [['g', 'j'], 'Admin: jobs']);
	return (
		<Dialog open onClose={close} title="Keyboard shortcuts">
			<dl class="keys">
				{keys.map(([k, what]) => (
					<div key={what}><dt>{k.map(one => <kbd key={one}>{one}</kbd>)}</dt><dd>{what}</dd></div>
				))}
			</dl>
			<label class="switch">
				<input type="checkbox" role="switch" checked={shortcuts.value} onChange={e => setShortcuts(e.currentTarget.checked)} />
				<span>Shortcuts are {shortcuts.value ? 'on' : 'off'}</span>
			</label>
		</Dialog>
	);
}
