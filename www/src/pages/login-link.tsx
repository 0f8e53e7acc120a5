// login-link.tsx - signs in with the one-time token of /login/link?token=…
import { useEffect, useState } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { call, problem, type Problem } from '../api';
import { localPath } from '../logic/query';
import { loadMe } from '../store';
import { Icon } from '../ui/icon';
import { useTitle } from '../ui/kit';

// Taken out of the address at once, so that it is in no history entry, no
// screenshot and no Referer.
function takeToken(): { token: string | null; next: string } {
	const params = new URLSearchParams(location.search);
	const token = params.get('token');
	if (token !== null) history.replaceState(null, '', location.pathname);
	return { token, next: localPath(params.get('next')) };
}

export default function LoginLink() {
	useTitle('Signing in');
	const { route } = useLocation();
	const [{ token, next }] = useState(takeToken);
	const [wrong, setWrong] = useState<Problem | null>(null);
	const [tries, setTries] = useState(0);
	useEffect(() => {
		if (!token) return;
		setWrong(null);
		call('POST', '/auth/link', { body: { token } })
			.then(async () => { await loadMe(); route(next, true); })
			.catch(e => setWrong(problem(e)));
	}, [tries]);

	const spent = wrong !== null && wrong.status >= 400 && wrong.status < 500 && wrong.status !== 429;
	return (
		<div class="sign-in card">
			{!token ? (
				<>
					<h1>This link is not complete</h1>
					<p>Open the whole link as it was given to you. It ends with a long token.</p>
				</>
			) : spent ? (
				<>
					<h1>This link does not work any more</h1>
					<p>Links work once and only for a while. Ask for a new one.</p>
					<p class="muted small">{wrong.message}</p>
				</>
			) : wrong ? (
				<>
					<h1>Could not sign in</h1>
					<p>{wrong.message}</p>
					<button class="primary" type="button" onClick={() => setTries(tries + 1)}>Try again</button>
				</>
			) : (
				<>
					<Icon name="loader-circle" size={28} class="spin" />
					<h1>Signing you in</h1>
				</>
			)}
		</div>
	);
}
