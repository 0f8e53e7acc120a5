// use.ts - reading lists page by page, and waiting until typing stops.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { list, problem, type Problem } from '../api';
import type { Query } from '../logic/query';

export function useLater<T>(value: T, wait: number): T {
	const [later, set] = useState(value);
	useEffect(() => {
		const timer = setTimeout(() => set(value), wait);
		return () => clearTimeout(timer);
	}, [value, wait]);
	return later;
}

export interface Pages<T> {
	// null: the first page is not there yet
	data: readonly T[] | null;
	more: boolean;
	busy: boolean;
	wrong: Problem | null;
	next: () => void;
	reload: () => void;
	edit: (fn: (data: readonly T[]) => readonly T[]) => void;
}

// A list with "show more".  Another query starts again; what came for an
// older one is dropped.
export function usePages<T>(path: string, query: Query): Pages<T> {
	const [data, setData] = useState<readonly T[] | null>(null);
	const [cursor, setCursor] = useState<string | null>(null);
	const [busy, setBusy] = useState(false);
	const [wrong, setWrong] = useState<Problem | null>(null);
	const turn = useRef(0);
	const shown = useRef<string | null>(null);
	const text = JSON.stringify(query);

	const load = useCallback(async (from: string | null) => {
		const mine = ++turn.current;
		setBusy(true);
		setWrong(null);
		try {
			const page = await list<T>(path, { ...JSON.parse(text), cursor: from ?? undefined });
			if (mine !== turn.current) return;
			shown.current = text;
			setData(old => (from && old ? [...old, ...page.data] : page.data));
			setCursor(page.has_more ? page.next_cursor : null);
		} catch (e) {
			if (mine !== turn.current) return;
			// What another query gave must not stand for this one's answer.
			if (from === null && shown.current !== text) setData(null);
			setWrong(problem(e));
		}
		if (mine === turn.current) setBusy(false);
	}, [path, text]);

	useEffect(() => {
		void load(null);
		return () => { turn.current++; };
	}, [load]);

	return {
		data, busy, wrong, more: cursor !== null,
		next: () => { if (cursor && !busy) void load(cursor); },
		reload: () => void load(null),
		edit: fn => setData(old => (old ? fn(old) : old)),
	};
}
