// main.tsx - where the pages start: routes, each in a file of its own that is
// loaded when it is first wanted.
import { render } from 'preact';
import { useState } from 'preact/hooks';
import { ErrorBoundary, lazy, LocationProvider, Route, Router, useLocation } from 'preact-iso';
import { Shell } from './shell';
import { loadMe, me, meProblem } from './store';
import './styles/tokens.css';
import './styles/base.css';
import './styles/parts.css';
import './styles/pages.css';

const Create = lazy(() => import('./pages/create'));
const Generation = lazy(() => import('./pages/generation'));
const History = lazy(() => import('./pages/history'));
const Credits = lazy(() => import('./pages/credits'));
const Keys = lazy(() => import('./pages/keys'));
const Jobs = lazy(() => import('./pages/admin-jobs'));
const Job = lazy(() => import('./pages/admin-job'));
const Providers = lazy(() => import('./pages/admin-providers'));
const Workers = lazy(() => import('./pages/admin-workers'));
const Users = lazy(() => import('./pages/admin-users'));
const LoginLink = lazy(() => import('./pages/login-link'));
const SignIn = lazy(() => import('./pages/sign-in'));
const Missing = lazy(() => import('./pages/missing'));

function Failed() {
	return (
		<div class="empty" role="alert">
			<h1>This page broke</h1>
			<p>That is our mistake. Your videos and credits are safe on the server.</p>
			<button class="primary" type="button" onClick={() => location.reload()}>Load it again</button>
		</div>
	);
}

function Pages() {
	const who = me.value;
	if (useLocation().path.startsWith('/login/')) {
		return (
			<Router>
				<Route path="/login/link" component={LoginLink} />
				<Route default component={SignIn} />
			</Router>
		);
	}
	if (who === undefined) {
		const wrong = meProblem.value;
		return wrong
			? <div class="empty" role="alert"><h1>Not reachable</h1><p>{wrong.message}</p>
				<button class="primary" type="button" onClick={() => void loadMe()}>Try again</button></div>
			: <div class="skeleton page" role="status" aria-label="Loading"><span /><span /><span /></div>;
	}
	if (who === null) {
		// In place: after signing in, the same address shows its page.
		return <SignIn />;
	}
	return (
		<Router onRouteChange={() => document.getElementById('main')?.focus({ preventScroll: true })}>
			<Route path="/" component={Create} />
			<Route path="/create" component={Create} />
			<Route path="/create/:id" component={Generation} />
			<Route path="/generations/:id" component={Generation} />
			<Route path="/history" component={History} />
			<Route path="/credits" component={Credits} />
			<Route path="/keys" component={Keys} />
			<Route path="/admin" component={Jobs} />
			<Route path="/admin/jobs" component={Jobs} />
			<Route path="/admin/jobs/:id" component={Job} />
			<Route path="/admin/providers" component={Providers} />
			<Route path="/admin/workers" component={Workers} />
			<Route path="/admin/users" component={Users} />
			<Route default component={Missing} />
		</Router>
	);
}

function Guarded() {
	const { path } = useLocation();
	// The path that failed: another one gets its chance.
	const [failed, setFailed] = useState<string | null>(null);
	return (
		<ErrorBoundary onError={e => { console.error(e); setFailed(path); }}>
			{failed === path ? <Failed /> : <Pages />}
		</ErrorBoundary>
	);
}

// A new version of reeld has other file names: the old page asks for files
// that are gone, once.
addEventListener('vite:preloadError', event => {
	try {
		if (sessionStorage.getItem('reeld.reloaded')) return;
		sessionStorage.setItem('reeld.reloaded', '1');
	} catch { return; }
	event.preventDefault();
	location.reload();
});

if (!location.pathname.startsWith('/login/')) void loadMe();
render(
	<LocationProvider><Shell><Guarded /></Shell></LocationProvider>,
	document.getElementById('app')!,
);
