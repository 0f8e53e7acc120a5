// proxy.mjs - a fault proxy in userspace, in front of PostgreSQL, Redis, an S3
// server or a provider; steered by calls in the same process.
//
//   const p = await Proxy.to({ path: '/…/.s.PGSQL.5432' }, { pg: true });
//   const p = await Proxy.to({ port: 8123 });          // p.url: http://127.0.0.1:…
//   p.set({ latency_ms: 50, jitter_ms: 50 });          // until the next set()
//   p.set({ rate: 1024 });                             // bytes a second, each way
//   p.set({ split: true });                            // every byte by itself
//   p.set({ cut_after: 300 });                         // bytes of one answer side
//   p.set({ drop: 'down' });                           // or 'up': into the void
//   p.set({ accept: 'half-open' });                    // or 'reset': new connections
//   p.set({ duplicate: true });                        // each answer chunk twice
//   p.set();                                           // a wire again
//   p.cut(); p.reset();                                // all connections, now
//   p.tap = (name, chunk, link) => …;                  // sees what comes, 'up' or 'down'
//   p.commit(/generation_submit/, 'lose');             // see below
//
// With pg, the frontend's messages are followed: a group of them up to a Sync
// (or a simple Query) is what PostgreSQL commits as one transaction. commit()
// takes the next group that names a matching prepared statement (or holds
// matching SQL):
//   'lose'    it reaches the server and is committed, its answer is lost
//   'before'  it does not reach the server
//   'cut'     the connection dies just behind it: either may be true
//   ms        its answer waits so long
// and returns a promise that it happened. A connection carries one of these at a
// time, and what it took with it unfulfilled is for the next that asks.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const SSL = 80877103, GSS = 80877104;

// Splits a byte stream of PostgreSQL into messages, as they get complete.
class Messages {
	constructor(untyped) {
		this.untyped = untyped; // a start-up packet comes first
		this.held = Buffer.alloc(0);
	}

	// [{type, body, end}]: end is the offset behind it in this chunk.
	take(chunk) {
		const before = this.held.length;
		const all = Buffer.concat([this.held, chunk]);
		const found = [];
		let at = 0;
		for (;;) {
			const head = this.untyped ? 4 : 5;
			if (all.length - at < head) break;
			const size = all.readInt32BE(at + head - 4) + head - 4;
			if (all.length - at < size) break;
			const body = all.subarray(at + head, at + size);
			found.push({ type: this.untyped ? '' : String.fromCharCode(all[at]), body, end: at + size - before });
			if (this.untyped) {
				const code = body.length >= 4 ? body.readInt32BE(0) : 0;
				if (code !== SSL && code !== GSS) this.untyped = false;
			}
			at += size;
		}
		this.held = Buffer.from(all.subarray(at));
		return found;
	}
}

// One direction of one connection: in order, late, slow, in pieces.
class Pump {
	constructor(link, from, to, name) {
		Object.assign(this, { link, from, to, name, bytes: 0, due: 0, chain: Promise.resolve() });
		from.on('data', (chunk) => {
			from.pause();
			this.push(chunk).then(() => from.resume(), () => link.destroy());
		});
		// What was read before the end is written before it.
		from.on('end', () => {
			this.chain = this.chain.then(() => { if (link.proxy.faults.drop !== name) to.end(); }, () => link.destroy());
		});
	}

	push(chunk) {
		const { faults } = this.link.proxy;
		this.link.proxy.tap?.(this.name, chunk, this.link);
		const seen = this.link.watch ? this.link.watch(this.name, chunk) : chunk;
		if (seen === null || seen.length === 0) return Promise.resolve();
		if (faults.drop === this.name) return Promise.resolve();
		const late = (faults.latency_ms ?? 0) + Math.random() * (faults.jitter_ms ?? 0);
		const wire = faults.rate ? seen.length * 1000 / faults.rate : 0;
		this.due = Math.max(this.due + wire, performance.now() + late + wire);
		const wait = this.link.hold_ms ?? 0;
		this.link.hold_ms = 0;
		const due = this.due + wait;
		this.chain = this.chain.then(() => this.write(seen, due, { ...faults }));
		return this.chain;
	}

	async write(chunk, due, faults) {
		// A timer may come a millisecond early.
		for (let left; (left = due - performance.now()) > 0;) await new Promise((r) => { setTimeout(r, left); });
		if (this.to.destroyed) return;
		let data = chunk;
		if (this.name === 'down' && faults.cut_after !== undefined) {
			data = data.subarray(0, Math.max(0, faults.cut_after - this.bytes));
		}
		this.bytes += data.length;
		for (let i = faults.duplicate && this.name === 'down' ? 2 : 1; i > 0; i--) await this.out(data, faults.split);
		if (data.length < chunk.length) this.link.destroy();
	}

	async out(data, split) {
		if (!split) {
			if (data.length > 0 && !this.to.write(data)) await Promise.race([once(this.to, 'drain'), this.link.gone]);
			return;
		}
		for (let i = 0; i < data.length && !this.to.destroyed; i++) {
			this.to.write(data.subarray(i, i + 1));
			await new Promise(setImmediate);
		}
	}
}

class Link {
	constructor(proxy, client) {
		Object.assign(this, { proxy, client, sent: 0, answered: 0, names: [], waiting: new Map() });
		this.gone = new Promise((r) => { client.once('close', r); });
		client.on('error', () => {});
		client.on('close', () => {
			proxy.links.delete(this);
			this.server?.destroy();
			if (this.carries && !this.doomed) proxy.orders.unshift(this.carries);
		});
		client.setNoDelay?.(true);
		if (proxy.faults.accept === 'half-open') { client.resume(); return; }
		const server = net.connect(proxy.target);
		this.server = server;
		server.on('error', () => this.destroy());
		if (proxy.pg) {
			this.up_messages = new Messages(true);
			this.down_messages = new Messages(false);
			this.watch = (name, chunk) => (name === 'up' ? this.up(chunk) : this.down(chunk));
		}
		this.pumps = [new Pump(this, client, server, 'up'), new Pump(this, server, client, 'down')];
	}

	destroy(how = 'destroy') {
		if (how === 'reset' && !this.proxy.path) this.client.resetAndDestroy();
		else this.client.destroy();
		this.server?.destroy();
	}

	// Follows what the client asks; returns what may go on.
	up(chunk) {
		let last = 0;
		for (const m of this.up_messages.take(chunk)) {
			if (m.type === '') {
				const code = m.body.length >= 4 ? m.body.readInt32BE(0) : 0;
				if (code === SSL || code === GSS) this.bare = true; // one byte answers
				else this.sent++;
			} else if (m.type === 'B') { // Bind: portal, statement
				const portal = m.body.indexOf(0);
				this.names.push(m.body.toString('latin1', portal + 1, m.body.indexOf(0, portal + 1)));
			} else if (m.type === 'P') {
				this.names.push(m.body.toString('utf8'));
			} else if (m.type === 'Q' || m.type === 'S') {
				if (m.type === 'Q') this.names.push(m.body.toString('utf8'));
				this.sent++;
				const order = this.carries ? null : this.proxy.order(this.names);
				this.names = [];
				if (order) this.carries = order;
				if (order?.how === 'before') {
					// Whole groups only: what came before this one goes on.
					this.cut_soon(order);
					return chunk.subarray(0, last);
				}
				if (order) this.waiting.set(this.sent, order);
				if (order?.how === 'cut') {
					this.cut_soon(order);
					return chunk.subarray(0, m.end);
				}
				last = m.end;
			}
		}
		return chunk;
	}

	// Follows what the server answers: Z ends the answer to one group.
	down(chunk) {
		if (this.bare) { this.bare = false; return chunk; }
		if (this.deaf) return null;
		let good = 0;
		for (const m of this.down_messages.take(chunk)) {
			if (m.type === 'Z') {
				this.answered++;
				const order = this.waiting.get(this.answered);
				if (order?.how === 'lose') {
					this.deaf = true;
					this.cut_soon(order);
					return good > 0 ? chunk.subarray(0, good) : null;
				}
				if (typeof order?.how === 'number') {
					this.hold_ms = order.how;
					this.carries = null;
					order.done();
				}
				good = m.end;
			}
		}
		// Behind the last Z is the beginning of an answer that may be lost.
		return this.waiting.get(this.answered + 1)?.how === 'lose'
			? chunk.subarray(0, Math.max(0, good)) : chunk;
	}

	cut_soon(order) {
		this.doomed = true;
		setImmediate(async () => {
			await Promise.allSettled(this.pumps.map((p) => p.chain));
			this.destroy();
			order.done();
		});
	}
}

export class Proxy {
	// target: {port} or {path}, as for net.connect().
	static async to(target, { pg = false } = {}) {
		const self = Object.assign(new Proxy(), { target, pg, faults: {}, links: new Set(), orders: [], accepted: 0 });
		self.server = net.createServer({ allowHalfOpen: true }, (client) => {
			self.accepted++;
			if (self.faults.accept === 'reset') { client.on('error', () => {}); client[self.path ? 'destroy' : 'resetAndDestroy'](); return; }
			self.links.add(new Link(self, client));
		});
		if (target.path) {
			self.dir = mkdtempSync(join(tmpdir(), 'reeld-proxy-'));
			self.path = join(self.dir, basename(target.path));
			self.server.listen(self.path);
		} else self.server.listen(0, '127.0.0.1');
		await once(self.server, 'listening');
		if (!target.path) {
			self.port = self.server.address().port;
			self.url = `http://127.0.0.1:${self.port}`;
		}
		return self;
	}

	// A new state of the wire, for the connections there are and for new ones.
	set(faults = {}) { this.faults = faults; }

	cut() { for (const l of this.links) l.destroy(); }
	reset() { for (const l of this.links) l.destroy('reset'); }

	commit(match, how) {
		return new Promise((done) => { this.orders.push({ match, how, done }); });
	}

	order(names) {
		const i = this.orders.findIndex((o) => names.some((n) => o.match.test(n)));
		return i < 0 ? null : this.orders.splice(i, 1)[0];
	}

	async stop() {
		this.cut();
		await new Promise((r) => { this.server.close(r); });
		if (this.dir) rmSync(this.dir, { recursive: true, force: true });
	}
}
