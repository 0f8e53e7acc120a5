// live.ts - one WebSocket for the whole page: topics with a snapshot and what
// is newer.  While it is away the watchers' own polls run instead, so the page
// goes on telling the truth, only later.
import { backoff } from './logic/backoff';
import { connection, type Connection } from './store';

export interface LiveEvent {
	type: string;
	topic: string;
	version: number;
	ts: number;
	data: Record<string, unknown>;
}

export interface Watcher {
	// The topic as it is now; comes again after every reconnect.
	snapshot(objects: Record<string, unknown>[]): void;
	// Any event of the connection: an event comes once, under the first of
	// its topics, so watchers look at what it is about.
	event(event: LiveEvent): void;
	// Reads the same over HTTP.
	poll?(): Promise<unknown>;
	refused?(code: string): void;
}

const PONG_MS = 10_000, STALE_MS = 3_000, POLL_MS = 5_000;

const watchers = new Map<string, Set<Watcher>>();
const refusedTopics = new Set<string>();
let socket: WebSocket | null = null;
let welcomed = false;
let tries = 0, floor = 0;
let retryTimer = 0, pingTimer = 0, pongTimer = 0, staleTimer = 0, pollTimer = 0;

function say(message: object) {
	if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function each(topic: string, fn: (watcher: Watcher) => void) {
	for (const watcher of watchers.get(topic) ?? []) fn(watcher);
}

export function watch(topic: string, watcher: Watcher): () => void {
	let set = watchers.get(topic);
	if (!set) watchers.set(topic, set = new Set());
	set.add(watcher);
	refusedTopics.delete(topic);
	// Also for a topic that is subscribed already: it gives a snapshot again.
	if (welcomed) say({ type: 'subscribe', topic, id: topic });
	else connect();
	return () => {
		set.delete(watcher);
		if (set.size || watchers.get(topic) !== set) return;
		watchers.delete(topic);
		if (welcomed) say({ type: 'unsubscribe', topic, id: topic });
	};
}

// Ends everything: signing out.
export function stop() {
	watchers.clear();
	clearTimeout(retryTimer);
	drop();
	settle('off');
}

function settle(next: Connection) {
	clearTimeout(staleTimer);
	clearTimeout(pollTimer);
	connection.value = next;
	if (next === 'stale') void poll();
}

function drop() {
	const old = socket;
	socket = null;
	welcomed = false;
	clearTimeout(pingTimer);
	clearTimeout(pongTimer);
	if (old) {
		old.onopen = old.onmessage = old.onclose = null;
		old.close();
	}
}

function lost() {
	drop();
	if (!watchers.size) return settle('off');
	if (connection.value !== 'stale') {
		connection.value = 'connecting';
		clearTimeout(staleTimer);
		staleTimer = window.setTimeout(() => settle('stale'), STALE_MS);
	}
	clearTimeout(retryTimer);
	retryTimer = window.setTimeout(connect, backoff(tries++, Math.random(), floor));
	floor = 0;
}

function connect() {
	clearTimeout(retryTimer);
	if (socket || !watchers.size) return;
	if (connection.value === 'off') {
		connection.value = 'connecting';
		staleTimer = window.setTimeout(() => settle('stale'), STALE_MS);
	}
	const self = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v1/ws`, 'reeld.v1');
	socket = self;
	self.onmessage = message => { if (socket === self) on(message.data); };
	self.onclose = () => { if (socket === self) lost(); };
}

function on(text: unknown) {
	let m: Record<string, any>;
	try { m = JSON.parse(String(text)); } catch { return; }
	switch (m.type) {
	case 'welcome':
		welcomed = true;
		tries = 0;
		settle('live');
		ping(Number(m.heartbeat_ms) || 25_000);
		for (const topic of watchers.keys())
			if (!refusedTopics.has(topic)) say({ type: 'subscribe', topic, id: topic });
		break;
	case 'subscribed': {
		const topic = typeof m.id === 'string' && watchers.has(m.id) ? m.id : String(m.topic);
		each(topic, w => w.snapshot(Array.isArray(m.snapshot) ? m.snapshot : []));
		break;
	}
	case 'batch':
		for (const event of m.events ?? [])
			for (const set of [...watchers.values()]) for (const w of [...set]) w.event(event);
		break;
	case 'pong':
		clearTimeout(pongTimer);
		break;
	case 'error':
		if (typeof m.id === 'string' && watchers.has(m.id)) {
			refusedTopics.add(m.id);
			each(m.id, w => w.refused?.(String(m.code)));
		}
		break;
	case 'bye':
		floor = Math.min(60_000, Math.max(0, Number(m.reconnect_after_ms) || 0));
		lost();
		break;
	}
}

// A connection that a middlebox forgot looks open for ever: ask.
function ping(every: number) {
	pingTimer = window.setTimeout(() => {
		say({ type: 'ping' });
		clearTimeout(pongTimer);
		pongTimer = window.setTimeout(lost, PONG_MS);
		ping(every);
	}, every);
}

async function poll() {
	if (!document.hidden) {
		const all = [...watchers.values()].flatMap(set => [...set]);
		await Promise.allSettled(all.map(w => w.poll?.()));
	}
	if (connection.value !== 'stale') return;
	pollTimer = window.setTimeout(() => void poll(), POLL_MS * (0.8 + Math.random() * 0.4));
}

function back() {
	if (document.hidden || welcomed || !watchers.size) return;
	tries = 0;
	drop();
	connect();
}
addEventListener('online', back);
document.addEventListener('visibilitychange', back);
