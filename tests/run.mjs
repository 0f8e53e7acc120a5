// run.mjs - runs test files against one PostgreSQL cluster.
//   node tests/run.mjs [--jobs N] [--report FILE] [--minutes N] FILE...
// REELD_BUILD names the build (default build/). Exits non-zero when a test
// failed; --report writes a line `FOLDER PASSED FAILED SKIPPED` each; --minutes is
// how long one file may take (10).
import { once, setMaxListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { basename, dirname, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { prepare } from './it/env.mjs';
import { Postgres, build } from './it/services.mjs';

const argv = process.argv.slice(2);
const take = (flag, other) => {
	const i = argv.indexOf(flag);
	return i < 0 ? other : argv.splice(i, 2)[1];
};
const jobs = Number(take('--jobs', 2));
const report = take('--report', null);
const minutes = Number(take('--minutes', 10));

const cluster = await Postgres.start();
await cluster.template(prepare).catch(async (e) => {
	await cluster.stop();
	throw e;
});
process.env.builddir = build;
process.env.REELD_TEST_PG = JSON.stringify({ dir: cluster.dir, ready: true });

const count = { passed: 0, failed: 0, skipped: 0 };
const folders = new Map(); // name: the same, of its files
const add = (file, what) => {
	const folder = basename(dirname(file));
	if (!folders.has(folder)) folders.set(folder, { passed: 0, failed: 0, skipped: 0 });
	folders.get(folder)[what]++;
	count[what]++;
};
const failures = [];
const spent = new Map(); // file: ms
// The longest first, so that none of them is left running alone at the end.
const longest = ['it/kills', 'it/failover', 'it/matrix_a', 'it/matrix_b', 'torture/wires', 'it/engine_kills',
	'torture/live', 'browser/pages', 'torture/stores', 'torture/input', 'torture/provider', 'torture/disk',
	'browser/look', 'it/engine_enhance', 'it/sql_model', 'it/engine', 'it/live_api', 'it/engine_files', 'it/sql_blame',
	'torture/kills', 'it/canary', 'it/engine_answers', 'it/engine_poison'];
const name = (file) => `${basename(dirname(file))}/${basename(file, '.test.mjs')}`;
const rank = (file) => (longest.indexOf(name(file)) + longest.length + 1) % (longest.length + 1);
argv.sort((a, b) => rank(a) - rank(b));
// Told to end, it takes the files along, and each its servers.
const ended = new AbortController();
setMaxListeners(0, ended.signal); // each file that runs has one
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => ended.abort());
const stream = run({ files: argv, concurrency: jobs, timeout: minutes * 60000, signal: ended.signal });
// A suite, and a file as such, only hold tests.
const counted = (d) => d.details?.type !== 'suite' && d.name !== d.file;
const time = (d) => {
	if (d.nesting === 0) spent.set(d.file, (spent.get(d.file) ?? 0) + (d.details?.duration_ms ?? 0));
};
stream.on('test:pass', (d) => {
	time(d);
	if (!counted(d)) return;
	if (d.skip !== undefined || d.todo !== undefined) {
		add(d.file, 'skipped');
		failures.push(`skipped: ${d.file}: ${d.name}`);
	} else add(d.file, 'passed');
});
stream.on('test:fail', (d) => {
	time(d);
	add(d.file, 'failed');
	// The reason as well: a machine that is gone keeps no logs.
	const error = d.details?.error?.cause ?? d.details?.error;
	const why = String(error?.message ?? error ?? '').split('\n').slice(0, 8)
		.map((line) => `    ${line.slice(0, 300)}`).join('\n');
	// A file that failed with all its tests passed ended badly itself.
	const { exitCode = null, signal = null } = d.details?.error ?? {};
	const how = exitCode === null && signal === null ? '' : `\n    exit code ${exitCode}, signal ${signal}`;
	failures.push(`failed: ${d.file}: ${d.name}\n${why}${how}`);
});
const text = stream.compose(new spec());
text.pipe(process.stdout);
await once(text, 'end');

await cluster.stop();
for (const [file, ms] of [...spent].sort((a, b) => b[1] - a[1]).slice(0, 20))
	console.log(`${(ms / 1000).toFixed(1).padStart(7)} s  ${relative(process.cwd(), file)}`);
for (const f of failures) console.log(f);
console.log(`${count.passed} passed, ${count.failed} failed, `
	+ `${count.skipped} skipped`);
if (report) {
	writeFileSync(report, [...folders].map(([folder, n]) => `${folder} ${n.passed} ${n.failed} ${n.skipped}\n`).join(''));
}
process.exit(count.failed > 0 ? 1 : 0);
