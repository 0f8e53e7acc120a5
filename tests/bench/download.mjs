// download - 20 files of 100 MB at once to disk, each with its SHA-256, by the
// engine's own fetch, sink and storage, against `curl --parallel`, which does
// not hash.  download-stored goes on until every file is durable, for curl by
// a sync of each.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build, temp_dir } from '../it/services.mjs';
import { alternate, median, nginx, report } from './lib.mjs';

const run = promisify(execFile);
const FILES = Number(process.env.BENCH_FILES ?? 20);
const BYTES = 100e6;

export default async function download() {
	const dir = temp_dir('download'), data = randomBytes(BYTES);
	const sum = createHash('sha256').update(data).digest('hex');
	mkdirSync(join(dir, 'www'));
	writeFileSync(join(dir, 'www/video.mp4'), data);
	const front = await nginx('nginx', dir, 'sendfile on;', `root ${dir}/www;`);
	const peer = { ...front, url: `${front.url}video.mp4` };
	const ours = [], theirs = [], names = Array.from({ length: FILES }, (_, i) => join(dir, `out/videos/${i}.mp4`));
	// What the one left dirty must not be written at the other's expense.
	const fresh = async () => {
		rmSync(join(dir, 'out'), { recursive: true, force: true });
		mkdirSync(join(dir, 'out/videos'), { recursive: true });
		await run('sync', ['-f', dir]);
	};
	try {
		await alternate(async () => {
			await fresh();
			const { stdout } = await run(join(build, 'tests/bench/download_bench'), [peer.url, String(FILES), join(dir, 'out')]);
			const one = JSON.parse(stdout);
			assert.deepEqual(one.sha256, names.map(() => sum));
			assert.ok(readFileSync(names[FILES - 1]).equals(data));
			ours.push(one);
		}, async () => {
			await fresh();
			const start = performance.now();
			await run('curl', ['-s', '-f', '--parallel', '--parallel-immediate', '--parallel-max', '64',
				...names.flatMap((n) => ['-o', n, peer.url])]);
			const down = performance.now() - start;
			await run('sync', ['-d', ...names]);
			theirs.push({ down_ms: down, stored_ms: performance.now() - start });
		});
	} finally {
		await peer.stop();
		rmSync(dir, { recursive: true, force: true });
	}
	const rate = (list, key) => FILES * BYTES / 1e6 / (median(list.map((o) => o[key])) / 1000);
	report('download', rate(ours, 'down_ms'), 'MB/s', rate(theirs, 'down_ms'), 'curl', { want: 0.8 });
	report('download-stored', rate(ours, 'stored_ms'), 'MB/s', rate(theirs, 'stored_ms'), 'curl+sync');
	report('download-rss', Math.max(...ours.map((o) => o.rss_mib)), 'MiB', undefined, undefined,
		{ want: 64, at: 'most', of: 'value' });
	const slow = ours.reduce((n, o) => n + o.slow_turns, 0);
	if (slow > 0) {
		throw new Error(`${slow} turns of the loop took over 50 ms, the longest `
			+ `${Math.max(...ours.map((o) => o.worst_ms)).toFixed(0)} ms`);
	}
}
