// thumbnail - what a finished video needs: probe and poster (10 %, 480 px),
// by the server's own pool and its sandboxed helper, against one ffprobe and
// one ffmpeg command line.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from '../it/services.mjs';
import { alternate, median, report } from './lib.mjs';

const run = promisify(execFile);
const TURNS = 10;

export default async function thumbnail(server) {
	const file = join(server.dir, 'video.mp4');
	await run('ffmpeg', ['-nostdin', '-v', 'error', '-f', 'lavfi', '-i', 'testsrc2=s=1280x720:r=24:d=5',
		'-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-movflags', '+faststart', file]);
	const poster = join(server.dir, 'poster.jpg');
	const wide = async () => (await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=width', '-of', 'csv=p=0', poster])).stdout.trim();
	const [ours, theirs] = await alternate(async () => {
		const { stdout } = await run(join(build, 'tests/bench/media_bench'),
			[join(build, 'reel-media'), file, poster, String(TURNS)]);
		const times = stdout.trim().split('\n').map(Number);
		assert.equal(times.length, TURNS);
		assert.equal(await wide(), '480');
		return median(times);
	}, async () => {
		const times = [];
		for (let i = 0; i < TURNS; i++) {
			const start = performance.now();
			await run('ffprobe', ['-v', 'error', '-show_streams', '-show_format', '-of', 'json', file]);
			await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', '-ss', '0.5', '-i', file, '-frames:v', '1', '-vf', 'scale=480:-2', poster]);
			times.push(performance.now() - start);
		}
		assert.ok(statSync(poster).size > 0);
		assert.equal(await wide(), '480');
		return median(times);
	});
	report('thumbnail', ours, 'ms', theirs, 'ffprobe+ffmpeg');
}
