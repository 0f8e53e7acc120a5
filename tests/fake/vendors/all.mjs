// all.mjs - every fake vendor by the name of its adapter.
export { ComfyUI } from './comfyui.mjs';
export { EdenAI } from './edenai.mjs';
export { Fal } from './fal.mjs';
export { Google } from './google.mjs';
export { Kling } from './kling.mjs';
export { Luma, LumaDream } from './luma.mjs';
export { MiniMax } from './minimax.mjs';
export { ModelsLab } from './modelslab.mjs';
export { EdenVideos, OpenAI } from './openai.mjs';
export { Replicate } from './replicate.mjs';
export { Runway } from './runway.mjs';
