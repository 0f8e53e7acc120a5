// matrix_a.test.mjs - fal, Runway, Replicate, Luma's two, MiniMax's two and
// Eden AI's videos, each through all of matrix_rows.mjs.
import * as vendors from '../fake/vendors/all.mjs';
import { matrix } from './matrix_kit.mjs';

const text = { field: 'duration', as: 'text' };
const fakes = new Map(Object.entries({ fal: new vendors.Fal(), runway: new vendors.Runway(), replicate: new vendors.Replicate(),
	luma: new vendors.Luma(), luma_dream: new vendors.LumaDream(), minimax: new vendors.MiniMax(), eden: new vendors.EdenVideos() }));

// lost: what can be done about a lost answer (A to D); form: how an image
// arrives; says_when: it tells how long to wait; cost: what it says it cost.
matrix(fakes, [
	{ id: 'fal', fake: 'fal', seconds: 5, lost: 'C', form: 'data_uri', cancel: true, hook: 'signed', position: 2, says_when: true, cost: 350000,
		text: { endpoint: 'fal-ai/kling-video/v2.5-turbo/pro/text-to-video', params: { input: { prompt: 'prompt', duration: text },
			options: { unit_micro_usd: 70000 } } },
		image: { endpoint: 'fal-ai/kling-video/v2.5-turbo/pro/image-to-video',
			params: { input: { prompt: 'prompt', duration: text, start_image: 'image_url' } } } },
	{ id: 'runway', fake: 'runway', seconds: 5, lost: 'D', form: 'data_uri', cancel: true, progress: 40, says_when: true, cost: 250000,
		refusal_cost: 250000,
		text: { endpoint: 'gen4.5', params: { input: { prompt: 'promptText', duration: 'duration' }, fixed: { ratio: '1280:720' } } },
		image: {} },
	{ id: 'replicate', fake: 'replicate', seconds: 5, lost: 'C', form: 'data_uri', large: 'upload', cancel: true, hook: 'signed', says_when: true,
		text: { endpoint: 'luma/ray-2-720p', params: { input: { prompt: 'prompt', duration: 'duration' } } },
		image: { params: { input: { prompt: 'prompt', duration: 'duration', start_image: 'start_image' } } } },
	{ id: 'luma', fake: 'luma', seconds: 5, lost: 'D', form: 'base64', says_when: true,
		text: { endpoint: 'ray-3.2', params: { input: { prompt: 'prompt', duration: { field: 'video.duration', suffix: 's' } } } },
		image: {} },
	{ id: 'luma_dream', fake: 'luma_dream', seconds: 5, lost: 'C', cancel: true, hook: 'token', says_when: true,
		text: { endpoint: 'ray-2', params: { input: { prompt: 'prompt', duration: { field: 'duration', suffix: 's' } } } } },
	{ id: 'minimax', fake: 'minimax', seconds: 6, lost: 'D', form: 'data_uri',
		text: { endpoint: 'MiniMax-Hailuo-2.3', params: { input: { prompt: 'prompt', duration: 'duration' } } },
		image: { params: { input: { prompt: 'prompt', duration: 'duration', start_image: 'first_frame_image' } } } },
	{ id: 'minimax_v2', fake: 'minimax', seconds: 6, lost: 'D', form: 'data_uri',
		text: { endpoint: 'MiniMax-H3', params: { input: { duration: 'duration' },
			fixed: { resolution: '768P', ratio: '16:9' } } },
		image: {} },
	{ id: 'eden_videos', fake: 'eden', seconds: 8, lost: 'D', form: 'multipart', progress: 40, says_when: true,
		text: { endpoint: 'bytedance/seedance-1-0-pro', params: { input: { prompt: 'prompt', duration: { field: 'seconds', as: 'text' } } } },
		image: {} },
]);
