// matrix_b.test.mjs - Google's two, OpenAI's shape, ModelsLab's two, Eden
// AI's jobs, Kling's two and ComfyUI, each through all of matrix_rows.mjs.
import * as vendors from '../fake/vendors/all.mjs';
import { matrix } from './matrix_kit.mjs';

const text = { field: 'duration', as: 'text' };
const fakes = new Map(Object.entries({ google: new vendors.Google(), openai: new vendors.OpenAI(), modelslab: new vendors.ModelsLab(),
	edenai: new vendors.EdenAI(), kling: new vendors.Kling(), comfyui: new vendors.ComfyUI() }));

const graph = (more) => ({ 6: { class_type: 'CLIPTextEncode', inputs: { text: '' } }, 3: { class_type: 'KSampler', inputs: { seed: 1, steps: 20 } },
	9: { class_type: 'VHS_VideoCombine', inputs: { images: ['3', 0], frame_rate: 12, format: 'video/h264-mp4' } }, ...more });

matrix(fakes, [
	{ id: 'veo', fake: 'google', account: 'key', seconds: 8, lost: 'D', form: 'base64', says_when: true,
		text: { endpoint: 'veo-3.1-generate-001', params: { input: { prompt: 'instances.prompt', duration: 'parameters.durationSeconds' } } },
		image: {} },
	{ id: 'omni', fake: 'google', account: 'key', seconds: 8, lost: 'D', form: 'base64', cancel: true, says_when: true,
		text: { endpoint: 'gemini-omni-1.1-flash', params: { input: { prompt: 'input',
			duration: { field: 'response_format.duration', suffix: 's' } } } },
		image: {} },
	{ id: 'openai', fake: 'openai', seconds: 8, lost: 'D', form: 'multipart', progress: 40, says_when: true, same_link: true,
		text: { endpoint: 'sora-2', params: { input: { prompt: 'prompt', duration: { field: 'seconds', as: 'text' } } } },
		image: {} },
	{ id: 'modelslab_v7', fake: 'modelslab', seconds: 5, lost: 'C', form: 'data_uri', hook: 'token', says_when: true,
		text: { endpoint: 'seedance-t2v', params: { input: { prompt: 'prompt', duration: text } } },
		image: { endpoint: 'seedance-i2v', params: { input: { prompt: 'prompt', duration: text, start_image: 'init_image[]' } } } },
	{ id: 'modelslab_v6', fake: 'modelslab', seconds: 5, lost: 'C', form: 'data_uri', hook: 'token', says_when: true,
		text: { endpoint: 'v6/text2video_ultra/wan2.2', params: { input: { prompt: 'prompt' }, fixed: { resolution: 480, num_frames: 81, fps: 16 } } },
		image: { endpoint: 'v6/img2video_ultra/wan2.2', params: { input: { prompt: 'prompt', start_image: 'init_image' },
			fixed: { resolution: 480, num_frames: 81, fps: 16 } } } },
	{ id: 'edenai_v3', fake: 'edenai', seconds: 6, lost: 'C', form: 'data_uri', hook: 'token', says_when: true, cost: 480000,
		text: { endpoint: 'amazon/amazon.nova-reel-v1:1', params: { input: { prompt: 'text', duration: 'duration' } } },
		image: { params: { input: { prompt: 'text', duration: 'duration', start_image: 'file' } } } },
	{ id: 'edenai_v2', fake: 'edenai', seconds: 6, lost: 'D', form: 'multipart', says_when: true, cost: 480000,
		text: { endpoint: 'v2/amazon/amazon.nova-reel-v1:0', params: { input: { prompt: 'text', duration: 'duration' } } },
		image: {} },
	{ id: 'kling', fake: 'kling', seconds: 5, lost: 'B', form: 'base64', hook: 'signed',
		text: { endpoint: 'kling-v2-6', params: { input: { prompt: 'prompt', duration: text } } },
		image: { params: { input: { prompt: 'prompt', duration: text, start_image: 'image' } } } },
	{ id: 'kling_3', fake: 'kling', seconds: 5, lost: 'C', form: 'base64', hook: 'signed',
		text: { endpoint: 'kling-3.0', params: { input: { prompt: 'prompt', duration: 'settings.duration' } } },
		image: {} },
	{ id: 'comfyui', fake: 'comfyui', seconds: 5, lost: 'B', form: 'upload', cancel: true, pending: 'queued', redirects: false, refuses: false, account: false,
		text: { endpoint: 'wan', params: { options: { graph: graph({}) }, input: { prompt: '6.text' } } },
		image: { params: { options: { graph: graph({ 1: { class_type: 'LoadImage', inputs: { image: '' } } }) },
			input: { prompt: '6.text', start_image: '1.image' } } } },
]);
