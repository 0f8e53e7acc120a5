// version.ts - the version rule: every object carries a version that only
// grows, and what is not newer than what is known is ignored.
export interface Versioned { id: string; version: number }

// What to keep of known and incoming: the same object when nothing is new.
export function newer<T extends Versioned>(known: T | null | undefined, incoming: Partial<T> & Versioned): T | null {
	if (!known) return incoming as unknown as T;
	if (known.id !== incoming.id || incoming.version <= known.version) return known;
	return { ...known, ...incoming };
}

// A full object read over HTTP: as new is good enough, older is not.
export function read<T extends Versioned>(known: T | null | undefined, whole: T): T {
	return known && known.id === whole.id && known.version > whole.version ? known : whole;
}

// Applies one event to a list of objects; unknown ones are not added.
export function patch<T extends Versioned>(list: readonly T[], incoming: Partial<T> & Versioned): readonly T[] {
	const i = list.findIndex(one => one.id === incoming.id);
	const known = list[i];
	if (!known) return list;
	const next = newer(known, incoming);
	return next === known || !next ? list : list.with(i, next);
}
