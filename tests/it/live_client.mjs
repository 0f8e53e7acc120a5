// live_client.mjs - a WebSocket client for tests: keeps every message, waits
// for the one a test wants.
import WebSocket from 'ws';
import { until } from './services.mjs';

export class Live {
	static async open(server, key, { path = '/ws', protocol = 'reeld.v1', headers = {}, ticket = false } = {}) {
		const self = new Live();
		let address = server.url.replace('http', 'ws') + path;
		if (ticket) {
			const r = await server.call('POST', '/api/v1/ws/ticket', { key, json: {} });
			if (r.status >= 300) throw new Error(`ticket: ${r.status} ${JSON.stringify(r.body)}`);
			address += `?ticket=${encodeURIComponent(r.body.ticket)}`;
		} else if (key) headers = { authorization: `Bearer ${key}`, ...headers };
		self.messages = [];
		self.socket = new WebSocket(address, protocol, { headers });
		self.socket.on('message', (data) => self.messages.push(JSON.parse(data)));
		self.over = new Promise((done) => {
			self.socket.on('close', (code, reason) => {
				self.closed = { code, reason: String(reason) };
				done(self.closed);
			});
		});
		// Refused with an HTTP answer: {status, body} instead of a socket.
		self.refused = null;
		await new Promise((done) => {
			self.socket.once('open', done);
			self.socket.once('unexpected-response', (req, res) => {
				let body = '';
				res.on('data', (d) => { body += d; });
				res.on('end', () => { self.refused = { status: res.statusCode, body, headers: res.headers }; done(); });
			});
			self.socket.on('error', (e) => { self.error = e; done(); });
		});
		if (!self.refused && self.error) throw self.error;
		return self;
	}

	say(message) { this.socket.send(typeof message === 'string' ? message : JSON.stringify(message)); }

	events() { return this.messages.filter((m) => m.type === 'batch').flatMap((m) => m.events); }

	// The first message of a type, or that a function likes.
	get(what, limit_ms = 20000) {
		const like = typeof what === 'string' ? (m) => m.type === what : what;
		return until(() => `message ${what}: ${JSON.stringify(this.messages).slice(0, 3000)}`, () => this.messages.find(like), limit_ms);
	}

	event(like, limit_ms = 20000) {
		return until(() => `event ${like}: ${JSON.stringify(this.events()).slice(0, 3000)}`, () => this.events().find(like), limit_ms);
	}

	async subscribe(topic, id = `s${this.messages.length}`) {
		this.say({ type: 'subscribe', topic, id });
		return this.get((m) => (m.type === 'subscribed' || m.type === 'error') && m.id === id);
	}

	async close() {
		this.socket.close();
		return this.over;
	}
}
