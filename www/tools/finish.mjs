// finish.mjs - after vite: .br and .gz beside every text file, and no address
// of another host left in what was built.
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const dist = path.resolve(import.meta.dirname, '../dist');
const text = /\.(html|js|css|svg|json|txt|webmanifest)$/;

for (const name of readdirSync(dist, { recursive: true })) {
	const file = path.join(dist, name);
	if (!statSync(file).isFile()) continue;
	if (/\.(br|gz)$/.test(name)) { rmSync(file); continue; }
	if (!text.test(name) || name === 'build.json') continue;
	const data = readFileSync(file);
	const abroad = data.toString().match(/https?:\/\/(?!www\.w3\.org\/)[\w.-]+/);
	if (abroad && name.endsWith('.html')) throw new Error(`${name} names ${abroad[0]}`);
	if (data.length < 256) continue;
	writeFileSync(`${file}.br`, brotliCompressSync(data, { params: {
		[constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: data.length } }));
	writeFileSync(`${file}.gz`, gzipSync(data, { level: 9 }));
}
