// budget.mjs - fails when the pages have grown too big.  Sizes are brotli's.
//   first load: what index.html runs before any page is chosen   <= 15 KB
//   a route: its own file and what only lazy files share          <= 40 KB
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

const FIRST = 15 * 1024, ROUTE = 40 * 1024;
const dist = path.resolve(import.meta.dirname, '../dist');
const build = JSON.parse(readFileSync(path.join(dist, 'build.json'), 'utf8'));

function size(file) {
	return brotliCompressSync(readFileSync(path.join(dist, file)), { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
}

// Every script that this one needs at once.
function needs(key, seen = new Set()) {
	if (seen.has(key)) return seen;
	seen.add(key);
	for (const next of build[key].imports ?? []) needs(next, seen);
	return seen;
}

const kb = n => `${(n / 1024).toFixed(1)} KB`.padStart(8);
const entry = Object.keys(build).find(key => build[key].isEntry);
const first = needs(entry);
const extra = ['theme.js'];
let failed = false;

function report(name, bytes, limit) {
	const over = bytes > limit;
	failed ||= over;
	console.log(`${kb(bytes)} of ${kb(limit)}  ${name}${over ? '  TOO BIG' : ''}`);
}

report('first load', [...first].map(key => build[key].file).concat(extra).reduce((sum, f) => sum + size(f), 0), FIRST);
for (const key of Object.keys(build)) {
	if (!build[key].isDynamicEntry) continue;
	const own = [...needs(key)].filter(k => !first.has(k));
	report(key, own.reduce((sum, k) => sum + size(build[k].file), 0), ROUTE);
}
if (failed) process.exit(1);
