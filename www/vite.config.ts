// vite.config.ts - how the pages are built; `npm run dev` proxies to a daemon
// (or the mock of tools/mock.mjs) at REELD_URL.
import { defineConfig } from 'vite';
import { icons } from './tools/icons.mjs';

const target = process.env.REELD_URL ?? 'http://127.0.0.1:8080';
const proxy = { target, changeOrigin: true, ws: true };

export default defineConfig({
	plugins: [icons()],
	oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
	build: {
		target: 'es2022',
		// Everything is a file of its own: the content policy allows no data: URLs.
		assetsInlineLimit: 0,
		modulePreload: { polyfill: false },
		manifest: 'build.json',
	},
	server: { proxy: { '/api': proxy, '/ws': proxy } },
});
