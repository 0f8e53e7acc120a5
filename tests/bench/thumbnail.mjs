// thumbnail - what a finished video needs: probe and poster (the exact frame at
// 10 %, 480 px), by the server's own pool and its sandboxed helper, against
// ffprobe and ffmpeg called as fluent-ffmpeg calls them.  Videos of 8 s with a
// key frame every 2 s, and with one altogether, as the encoders of video models
// write them; thumbnail-batch: 50 of them, two at a time.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from '../it/services.mjs';
import { alternate, median, report } from './lib.mjs';

const run = promisify(execFile);
const TURNS = 3, BATCH = 50, WANT = { want: 0.4, at: 'most' };
const ffmpeg = (...args) => run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args]);

async function draw(file, size, gop) {
	await ffmpeg('-f', 'lavfi', '-i', `testsrc2=s=${size}:r=25:d=8`, '-c:v', 'libx264', '-preset', 'veryfast',
		'-g', String(gop), '-pix_fmt', 'yuv420p', '-movflags', '+faststart', file);
}

// Milliseconds of each, and of all.
async function ours(file, poster, count, threads) {
	const { stdout } = await run(join(build, 'tests/bench/media_bench'),
		[join(build, 'reel-media'), file, poster, String(count), String(threads)]);
	const times = stdout.trim().split('\n').map(Number);
	assert.equal(times.length, count + 1);
	return { each: times.slice(0, -1), all: times.at(-1) };
}

async function theirs(file, poster) {
	await run('ffprobe', ['-show_streams', '-show_format', file]);
	await run('ffmpeg', ['-ss', '0.8', '-i', file, '-y', '-filter_complex',
		'scale=w=480:h=trunc(ow/a/2)*2[size0];[size0]split=1[screen0]', '-vframes', '1', '-map', '[screen0]', poster]);
}

// How alike two pictures are, in dB.
async function psnr(a, b) {
	const { stderr } = await run('ffmpeg', ['-nostdin', '-i', a, '-i', b, '-lavfi', 'psnr', '-f', 'null', '-']);
	return Number(stderr.match(/average:([\d.]+|inf)/)[1].replace('inf', 'Infinity'));
}

// Ours must be frame 20 of the film, and not one of its neighbours.
async function check(file, poster) {
	const likeness = [];
	for (const n of [19, 20, 21]) {
		await ffmpeg('-i', file, '-vf', `select=eq(n\\,${n}),scale=480:-2:flags=area`, '-frames:v', '1', '-q:v', '1', `${poster}.jpg`);
		likeness.push(await psnr(poster, `${poster}.jpg`));
	}
	assert.ok(likeness[1] > 35 && likeness[1] > likeness[0] + 3 && likeness[1] > likeness[2] + 3, `likeness ${likeness}`);
}

async function one(server, name, file) {
	const poster = join(server.dir, 'poster'), peer = join(server.dir, 'peer.jpg');
	const [a, b] = await alternate(async () => median((await ours(file, poster, TURNS, 1)).each), async () => {
		const times = [];
		for (let i = 0; i < TURNS; i++) {
			const start = performance.now();
			await theirs(file, peer);
			times.push(performance.now() - start);
		}
		return median(times);
	});
	await check(file, `${poster}.0`);
	report(name, a, 'ms', b, 'ffprobe+ffmpeg', WANT);
}

export default async function thumbnail(server) {
	const file = (name) => join(server.dir, `${name}.mp4`);
	for (const [name, size, gop] of [['thumbnail', '1920x1080', 50], ['thumbnail-long', '1920x1080', 250],
		['thumbnail-4k', '3840x2160', 50], ['thumbnail-4k-long', '3840x2160', 250]]) {
		await draw(file(name), size, gop);
		await one(server, name, file(name));
	}
	const [a, b] = await alternate(async () => (await ours(file('thumbnail'), join(server.dir, 'poster'), BATCH, 2)).all,
		async () => {
			const start = performance.now();
			let left = BATCH;
			const lane = async (n) => {
				while (left-- > 0) await theirs(file('thumbnail'), join(server.dir, `peer.${n}.jpg`));
			};
			await Promise.all([lane(0), lane(1)]);
			return performance.now() - start;
		});
	report('thumbnail-batch', a, 'ms', b, 'ffprobe+ffmpeg', WANT);
}
