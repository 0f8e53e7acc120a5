// missing.tsx - addresses that lead nowhere.
import { useTitle } from '../ui/kit';

export default function Missing() {
	useTitle('Not found');
	return (
		<div class="empty">
			<p class="big-number" aria-hidden="true">404</p>
			<h1>Nothing is here</h1>
			<p>The address may be old, or mistyped.</p>
			<p class="actions centre"><a class="button primary" href="/create">Create a video</a><a class="button ghost" href="/history">Your history</a></p>
		</div>
	);
}
