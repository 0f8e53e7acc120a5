// api.ts - the one way to the API: JSON in and out, problem+json as errors.
import type { Page } from './types';
import { search, type Query } from './logic/query';

const BASE = '/api/v1';

export class Problem extends Error {
	status: number;
	code: string;
	// by field name, from the server's errors[] pointers
	fields: Record<string, string> = {};
	requestId: string | null;
	retryAfterS: number | null;

	constructor(status: number, code: string, message: string, requestId: string | null = null, retryAfterS: number | null = null) {
		super(message);
		this.status = status;
		this.code = code;
		this.requestId = requestId;
		this.retryAfterS = retryAfterS;
	}
}

export function problem(e: unknown): Problem {
	return e instanceof Problem ? e : new Problem(0, 'page', e instanceof Error ? e.message : String(e));
}

// Called when the session is gone.
let signedOut = () => {};
export function onSignedOut(fn: () => void) { signedOut = fn; }

async function failure(reply: Response): Promise<Problem> {
	let said: Record<string, unknown> = {};
	try { said = await reply.json(); } catch { /* a proxy's own page */ }
	const text = (key: string) => (typeof said[key] === 'string' ? said[key] as string : null);
	const wait = Number(reply.headers.get('Retry-After'));
	const out = new Problem(reply.status, text('code') ?? `http_${reply.status}`,
		text('detail') ?? text('title') ?? `The server answered ${reply.status}.`,
		text('request_id') ?? reply.headers.get('X-Request-Id'), wait > 0 ? wait : null);
	if (Array.isArray(said.errors)) {
		for (const one of said.errors) {
			const field = String(one?.pointer ?? '').replace(/^#\//, '').split('/')[0];
			if (field) out.fields[field] = String(one.detail ?? 'Not valid.');
		}
	}
	return out;
}

export interface Options {
	body?: unknown;
	form?: FormData;
	// Idempotency-Key
	key?: string;
	signal?: AbortSignal;
}

export async function call<T>(method: string, path: string, options: Options = {}): Promise<T> {
	const headers: Record<string, string> = { Accept: 'application/json' };
	if (options.body !== undefined) headers['Content-Type'] = 'application/json';
	if (options.key) headers['Idempotency-Key'] = `"${options.key}"`;
	let reply: Response;
	try {
		reply = await fetch(BASE + path, {
			method, headers, signal: options.signal,
			body: options.form ?? (options.body !== undefined ? JSON.stringify(options.body) : undefined),
		});
	} catch (e) {
		if (options.signal?.aborted) throw e;
		throw new Problem(0, 'offline', 'The server can’t be reached. Check the connection; nothing was lost.');
	}
	if (!reply.ok) {
		const out = await failure(reply);
		if (reply.status === 401 && !path.startsWith('/auth/')) signedOut();
		throw out;
	}
	if (reply.status === 204) return undefined as T;
	return await reply.json() as T;
}

export const get = <T>(path: string, signal?: AbortSignal) => call<T>('GET', path, { signal });
export const post = <T>(path: string, body: unknown = {}, key?: string) => call<T>('POST', path, { body, key });

// Lists answer {data, next_cursor, has_more}; a bare array is taken as well.
export async function list<T>(path: string, query: Query = {}, signal?: AbortSignal): Promise<Page<T>> {
	const got = await get<Page<T> | T[]>(path + search(query), signal);
	return Array.isArray(got) ? { data: got, next_cursor: null, has_more: false } : got;
}

// One intent of the user is one Idempotency-Key, also after a reload in the
// middle of a request: the key stays until the server has given a definite
// answer, so a second press of the same button can't pay twice.
export async function once<T>(intent: string, path: string, body: unknown = {}): Promise<T> {
	const slot = `reeld.intent.${intent}`;
	const text = JSON.stringify(body);
	let key: string | null = null;
	try {
		const kept = JSON.parse(sessionStorage.getItem(slot) ?? 'null');
		if (kept && kept.body === text) key = kept.key;
		key ??= uuid();
		sessionStorage.setItem(slot, JSON.stringify({ key, body: text }));
	} catch { key ??= uuid(); }
	const forget = () => { try { sessionStorage.removeItem(slot); } catch { /* off */ } };
	try {
		const out = await post<T>(path, body, key);
		forget();
		return out;
	} catch (e) {
		const p = problem(e);
		const unknown = p.status === 0 || p.status === 409 || p.status === 429 || p.status >= 500;
		if (!unknown) forget();
		throw p;
	}
}

// crypto.randomUUID() exists on https and localhost only.
function uuid(): string {
	const b = crypto.getRandomValues(new Uint8Array(16));
	b[6] = (b[6]! & 0x0f) | 0x40;
	b[8] = (b[8]! & 0x3f) | 0x80;
	const hex = [...b].map(v => v.toString(16).padStart(2, '0')).join('');
	return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
