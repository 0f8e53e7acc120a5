// A fake chat completions server for prompt enhancement. What a request meets
// is chosen by a word in its prompt: on(word, how) before it is asked.
//   how      text: the answer; or one of
//   hang     nothing ever comes     cut     hangs up in the middle
//   html     a web page             empty   no words
//   refuse   message.refusal        filter  finish_reason content_filter
//   400 .. 599: that status with an error of theirs
// Without one the answer is "<the prompt>, in golden light". barrier() holds
// the answers until release(); reached() resolves when one is held.
import http from 'node:http';

export class FakeChat {
	answers = new Map();
	asked = [];	// {prompt, system, body, headers}, in order

	async start(port = 0) {
		this.server = http.createServer((req, res) => {
			this.serve(req, res).catch((e) => {
				if (!res.headersSent) res.writeHead(500);
				res.end(String(e));
			});
		});
		await new Promise((r) => this.server.listen(port, '127.0.0.1', r));
		this.url = `http://127.0.0.1:${this.server.address().port}/v1`;
		this.env = { REELD_ENHANCE_BASE_URL: this.url, REELD_ENHANCE_KEY: 'chat-key',
			REELD_ENHANCE_MODEL: 'small', REELD_ENHANCE_ALLOW_PRIVATE: 'yes' };
		return this;
	}

	async stop() {
		this.release();
		this.server.closeAllConnections();
		await new Promise((r) => this.server.close(r));
	}

	on(word, how) { this.answers.set(word, how); }

	barrier() {
		let open;
		const gate = new Promise((r) => { open = r; });
		this.held = { gate, open, standing: 0 };
	}

	release() {
		this.held?.open();
		this.held = null;
	}

	// When a request stands at the barrier.
	reached() {
		return this.held.standing > 0 ? Promise.resolve()
			: new Promise((r) => { this.held.waiting = r; });
	}

	count(word) { return this.asked.filter((a) => a.prompt.includes(word)).length; }

	async serve(req, res) {
		const parts = [];
		for await (const p of req) parts.push(p);
		if (req.method !== 'POST' || req.url !== '/v1/chat/completions') {
			res.writeHead(404);
			res.end();
			return;
		}
		const body = JSON.parse(Buffer.concat(parts));
		const prompt = body.messages.at(-1).content.replace(/^The idea:\n/, '');
		this.asked.push({ prompt, system: body.messages[0].content, body, headers: req.headers });
		if (this.held) {
			this.held.standing++;
			this.held.waiting?.();
			await this.held.gate;
		}
		const [, how] = [...this.answers].find(([word]) => prompt.includes(word)) ?? [];
		this.answer(res, how, prompt);
	}

	answer(res, how, prompt) {
		const json = (status, value) => {
			res.writeHead(status, { 'content-type': 'application/json' });
			res.end(JSON.stringify(value));
		};
		const message = (m, reason = 'stop') => json(200, { id: 'c-1', object: 'chat.completion',
			model: 'small', choices: [{ index: 0, finish_reason: reason,
				message: { role: 'assistant', refusal: null, ...m } }],
			usage: { prompt_tokens: 9, completion_tokens: 9, total_tokens: 18 } });
		if (how === 'hang') return;
		if (typeof how === 'number') {
			json(how, { error: { message: 'canary-of-the-chat-server', type: 'x', code: 'x' } });
		} else if (how === 'cut') {
			res.writeHead(200, { 'content-length': 1000 });
			res.write('{"choices":[{"mess', () => res.destroy());
		} else if (how === 'html') {
			res.writeHead(200, { 'content-type': 'text/html' });
			res.end('<!doctype html><p>canary-of-the-chat-server');
		} else if (how === 'empty') message({ content: ' \n' });
		else if (how === 'refuse') message({ content: null, refusal: 'canary-of-the-chat-server' });
		else if (how === 'filter') message({ content: 'half' }, 'content_filter');
		else message({ content: how ?? `${prompt}, in golden light` });
	}
}
