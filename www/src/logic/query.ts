// query.ts - filters live in the address, so that every view is a link.

export type Query = Record<string, string | undefined>;

// "?a=b" of what is set, in a fixed order; "" when nothing is.
export function search(query: Query): string {
	const params = new URLSearchParams();
	for (const key of Object.keys(query).sort()) {
		const value = query[key];
		if (value) params.set(key, value);
	}
	const text = params.toString();
	return text ? `?${text}` : '';
}

// The same query with some values changed; "" and undefined remove one.
export function change(query: Query, values: Query): Query {
	return { ...query, ...values };
}

// One word switched on or off in a comma separated value.
export function toggle(list: string | undefined, word: string): string | undefined {
	const words = new Set((list ?? '').split(',').filter(Boolean));
	if (!words.delete(word)) words.add(word);
	return [...words].sort().join(',') || undefined;
}

export function has(list: string | undefined, word: string): boolean {
	return (list ?? '').split(',').includes(word);
}

// A page's own path to come back to after signing in; other hosts are refused.
export function localPath(path: string | undefined | null): string {
	return path && /^\/(?![/\\])/.test(path) ? path : '/';
}
