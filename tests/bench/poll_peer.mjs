// poll_peer.mjs - the least that polls: node poll_peer.mjs URL JOBS INTERVAL_MS,
// a timer per job (with the 20 % jitter of reeld) and undici. It parses the
// answer and compares it with the last one; nothing else. Prints "ready"
// after the first round; on SIGUSR2 how many polls, and how many of them more
// than 100 ms late, there were since the last time.
import { Agent, request } from 'undici';

const [url, jobs, interval] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const dispatcher = new Agent({ connections: 64, pipelining: 1, keepAliveTimeout: 60000 });
const headers = { authorization: 'Key test-id:test-secret', accept: 'application/json' };
let answers = 0, polls = 0, late = 0;

function next(job, ms) {
	const due = performance.now() + ms;
	setTimeout(() => {
		polls++;
		if (performance.now() - due > 100) late++;
		ask(job);
	}, ms);
}

async function ask(job) {
	const r = await request(`${url}/fal-ai/x/requests/${job.id}/status`, { dispatcher, headers });
	const { status } = await r.body.json();
	if (status !== job.status) job.status = status;
	if (++answers === jobs) console.log('ready');
	next(job, interval * (0.8 + 0.4 * Math.random()));
}

for (let i = 0; i < jobs; i++) next({ id: `seed-${i}`, status: '' }, interval * Math.random());
process.on('SIGUSR2', () => {
	console.log(JSON.stringify({ polls, late }));
	polls = late = 0;
});
