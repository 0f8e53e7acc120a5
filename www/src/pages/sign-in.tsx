// sign-in.tsx - for who is not signed in: how to get a link.
import { useState } from 'preact/hooks';
import { useLocation } from 'preact-iso';
import { localPath } from '../logic/query';
import { Icon } from '../ui/icon';
import { Copy, useTitle } from '../ui/kit';

export default function SignIn() {
	useTitle('Sign in');
	const { route, url } = useLocation();
	const [link, setLink] = useState('');
	const [wrong, setWrong] = useState(false);
	const open = (e: Event) => {
		e.preventDefault();
		let token: string | null = link.trim();
		try { token = new URL(token).searchParams.get('token'); } catch { /* the bare token */ }
		if (!token || /\s/.test(token)) { setWrong(true); return; }
		const next = url.startsWith('/login') ? '/' : localPath(url);
		route(`/login/link?token=${encodeURIComponent(token)}&next=${encodeURIComponent(next)}`);
	};
	return (
		<div class="sign-in card">
			<img src="/favicon.svg" width="52" height="52" alt="" />
			<h1>Welcome to reeld</h1>
			<p class="muted">Signing in needs a one-time link. Whoever runs this server can make one for you:</p>
			<div class="command"><code>reeld admin-link</code><Copy text="reeld admin-link" /></div>
			<form class="stack" onSubmit={open}>
				<label class="field"><span>Sign-in link</span>
					<input value={link} autoComplete="off" spellcheck={false} placeholder="https://…/login/link?token=…"
						aria-invalid={wrong ? 'true' : undefined} onInput={e => { setLink(e.currentTarget.value); setWrong(false); }} />
					{wrong && <span class="error" role="alert">This is not a sign-in link.</span>}
				</label>
				<button class="primary big" type="submit"><Icon name="arrow-right" />Sign in</button>
			</form>
		</div>
	);
}
