// queue_peer.mjs - the job queues that reeld is measured beside, each in a
// process of its own as a service would run it: node queue_peer.mjs WHAT NAME
// ADDRESS [ARGUMENT...], the answer is one line of JSON on stdout.
//
//   enqueue NAME URL SECONDS IN_FLIGHT   jobs per second and how long one took
//   latency NAME URL JOBS                one at a time on an idle queue, from
//                                        the call of enqueue to the handler
//   drain NAME URL JOBS SLOTS            jobs per second of a full queue, the
//                                        handler does nothing
//
// NAME is pg-boss, graphile-worker (both on PostgreSQL) or bullmq (on Redis).
import { setTimeout as sleep } from 'node:timers/promises';
import { percentile } from './lib.mjs';

const [what, name, address, ...numbers] = process.argv.slice(2);
const [n, m] = numbers.map(Number);
const QUEUE = 'bench';

// What a render's order is about: some text and a few numbers.
const order = { model: 'demo-pixel', prompt: 'a boat on the river', duration: 4, resolution: '720p' };

const kinds = {
	async 'pg-boss'() {
		const { default: PgBoss } = await import('pg-boss');
		const boss = new PgBoss({ connectionString: address, max: 10, supervise: false, schedule: false });
		boss.on('error', (e) => { throw e; });
		await boss.start();
		await boss.createQueue(QUEUE);
		return {
			add: () => boss.send(QUEUE, order),
			// Its shortest pause is half a second.
			work: (slots, fn) => boss.work(QUEUE, { batchSize: slots, pollingIntervalSeconds: 0.5 },
				(jobs) => Promise.all(jobs.map(fn))),
			stop: () => boss.stop({ graceful: false, close: true }),
		};
	},
	async 'graphile-worker'() {
		const { Logger, makeWorkerUtils, run, runMigrations } = await import('graphile-worker');
		const quiet = new Logger(() => () => {});
		await runMigrations({ connectionString: address, logger: quiet });
		const utils = await makeWorkerUtils({ connectionString: address, logger: quiet });
		let runner;
		return {
			add: () => utils.addJob(QUEUE, order),
			work: async (slots, fn) => {
				runner = await run({ connectionString: address, logger: quiet, concurrency: slots,
					maxPoolSize: 10, noHandleSignals: true, taskList: { [QUEUE]: fn } });
			},
			stop: async () => {
				await runner?.stop();
				await utils.release();
			},
		};
	},
	async bullmq() {
		const { Queue, Worker } = await import('bullmq');
		const connection = { path: address, maxRetriesPerRequest: null };
		const queue = new Queue(QUEUE, { connection });
		let worker;
		return {
			add: () => queue.add('render', order, { removeOnComplete: true }),
			work: async (slots, fn) => {
				worker = new Worker(QUEUE, fn, { connection, concurrency: slots });
				await worker.waitUntilReady();
			},
			stop: async () => {
				await worker?.close(true);
				await queue.close();
			},
		};
	},
};

async function in_flight(count, one) {
	await Promise.all(Array.from({ length: count }, one));
}

const jobs = {
	async enqueue(q) {
		const times = [];
		await q.add();
		const start = performance.now(), end = start + n * 1000;
		await in_flight(m, async () => {
			while (performance.now() < end) {
				const at = performance.now();
				await q.add();
				times.push(performance.now() - at);
			}
		});
		return { rate: times.length / ((performance.now() - start) / 1000), p99: percentile(times, 99) };
	},
	async latency(q) {
		const times = [];
		let seen;
		await q.work(1, async () => { seen?.(performance.now()); });
		for (let i = 0; i < n; i++) {
			await sleep(20);
			const taken = new Promise((resolve) => { seen = resolve; });
			const at = performance.now();
			await q.add();
			times.push(await taken - at);
		}
		return { p50: percentile(times, 50), p99: percentile(times, 99) };
	},
	// Until the last handler was called; that its row is gone is not waited for.
	async drain(q) {
		await in_flight(32, async (_, i) => {
			for (let k = i; k < n; k += 32) await q.add();
		});
		let left = n, over;
		const empty = new Promise((resolve) => { over = resolve; });
		const start = performance.now();
		await q.work(m, async () => { if (--left === 0) over(); });
		await empty;
		return { rate: n / ((performance.now() - start) / 1000) };
	},
};

const q = await kinds[name]();
console.log(JSON.stringify(await jobs[what](q)));
await q.stop();
process.exit();
