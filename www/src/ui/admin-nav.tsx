// admin-nav.tsx - the pages of an operator.
import { useLocation } from 'preact-iso';
import { atLeast } from '../store';
import { Empty } from './kit';
import type { ComponentChildren } from 'preact';

export function AdminPage({ title, role = 'operator', end, children }: {
	title: string; role?: string; end?: ComponentChildren; children: ComponentChildren;
}) {
	const { path } = useLocation();
	if (!atLeast(role)) {
		return <div class="page"><Empty icon="shield" title={`Only for ${role}s`}><p>Your account may not see this page.</p></Empty></div>;
	}
	const tab = (href: string, text: string) => <a href={href} aria-current={path.startsWith(href) || (path === '/admin' && href === '/admin/jobs') ? 'page' : undefined}>{text}</a>;
	return (
		<div class="page wide">
			<nav class="tabs" aria-label="Admin">
				{tab('/admin/jobs', 'Jobs')}{tab('/admin/providers', 'Providers')}{tab('/admin/workers', 'Workers')}{atLeast('admin') && tab('/admin/users', 'Users')}
			</nav>
			<header class="page-head row wrap"><h1 class={title.length > 30 ? "grow prompt-title" : "grow"}>{title}</h1>{end}</header>
			{children}
		</div>
	);
}
