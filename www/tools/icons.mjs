// icons.mjs - a Vite plugin: one SVG sprite of the lucide icons that src/ui/icon.tsx
// names, as the module `virtual:icons` (its URL).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);
const ID = '\0virtual:icons';
const list = path.resolve(import.meta.dirname, '../src/ui/icon-names.ts');

function names() {
	return [...readFileSync(list, 'utf8').matchAll(/'([a-z0-9-]+)'/g)].map(m => m[1]);
}

export function sprite() {
	const folder = path.dirname(require.resolve('lucide-static/package.json'));
	const symbols = names().map(name => {
		const svg = readFileSync(path.join(folder, 'icons', `${name}.svg`), 'utf8');
		const inner = svg.replace(/<!--.*?-->/gs, '').replace(/^[\s\S]*?<svg[^>]*>|<\/svg>\s*$/g, '')
			.replace(/\s+/g, ' ').replace(/> </g, '><').trim();
		return `<symbol id="${name}" viewBox="0 0 24 24">${inner}</symbol>`;
	});
	return '<svg xmlns="http://www.w3.org/2000/svg"><!-- Icons: Lucide, ISC License, '
		+ `Copyright (c) Lucide Contributors -->${symbols.join('')}</svg>`;
}

export function icons() {
	let serving = false;
	return {
		name: 'icons',
		configResolved(config) { serving = config.command === 'serve'; },
		resolveId(id) { return id === 'virtual:icons' ? ID : null; },
		load(id) {
			if (id !== ID) return null;
			this.addWatchFile(list);
			if (serving) return 'export default "/icons.svg";';
			const ref = this.emitFile({ type: 'asset', name: 'icons.svg', source: sprite() });
			return `export default import.meta.ROLLUP_FILE_URL_${ref};`;
		},
		configureServer(server) {
			server.middlewares.use('/icons.svg', (_req, res) => {
				res.setHeader('Content-Type', 'image/svg+xml; charset=utf-8');
				res.end(sprite());
			});
		},
	};
}
