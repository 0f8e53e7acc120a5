// types.ts - what the API of reeld says, as far as the pages use it.

// RFC 3339, or milliseconds since 1970 (live events).
export type Time = string | number;

export type Status = 'draft' | 'pending' | 'queued' | 'processing' | 'awaiting_approval'
	| 'finalizing' | 'completed' | 'failed' | 'cancelling' | 'cancelled' | 'review';

export interface GenError { class: string; code: string; message: string; retryable: boolean }

export interface Queue {
	position: number | null;
	provider_position: number | null;
	eta_low_s: number | null;
	eta_high_s: number | null;
}

export interface Spec {
	duration?: number;
	resolution?: string;
	aspect_ratio?: string;
	audio?: boolean;
	seed?: number | null;
	fps?: number;
}

export interface Generation {
	id: string;
	status: Status;
	stage: string | null;
	progress: number | null;
	progress_basis: 'real' | 'estimated' | 'none';
	version: number;
	model: string;
	model_name: string;
	provider: string;
	mode: string;
	prompt: string;
	negative_prompt: string | null;
	enhanced_prompt?: string | null;
	spec: Spec;
	start_image: { id: string; url: string } | null;
	end_image?: { id: string; url: string } | null;
	credits: number;
	charge: { state: string; credits: number; refunded: number; settled: number | null } | null;
	queue: Queue | null;
	// Why a queued one does not start; null: it is only waiting its turn.
	waiting_reason?: string | null;
	error: GenError | null;
	video_url: string | null;
	thumbnail_url: string | null;
	video: {
		width: number; height: number; duration_s: number; fps: number;
		size_bytes: number; has_audio: boolean; codec: string;
	} | null;
	parent_id: string | null;
	relation: string | null;
	title: string | null;
	favourite: boolean;
	created_at: Time;
	started_at: Time | null;
	completed_at: Time | null;
	can: { cancel: boolean; retry: boolean; delete: boolean; download: boolean };
}

// Capabilities as the API writes them: a list of durations, or bounds.
export type Durations = number[] | { list?: number[]; min?: number; max?: number; step?: number; fixed?: number };

export interface Capabilities {
	modes?: string[];
	durations?: Durations;
	resolutions?: string[];
	aspect_ratios?: string[];
	fps?: number[];
	audio?: 'none' | 'optional' | 'always';
	seed?: boolean;
	negative_prompt?: boolean;
	max_prompt?: number;
	start_image?: boolean | 'none' | 'optional' | 'required';
	end_image?: boolean | 'none' | 'optional' | 'required';
	cancel?: boolean;
	bills_on_cancel?: boolean;
	bills_on_failure?: boolean;
	defaults?: { duration?: number; resolution?: string; aspect_ratio?: string; fps?: number };
}

export interface Model {
	slug: string;
	name: string;
	description: string;
	provider: string;
	provider_name?: string;
	category: string;
	tags: string[];
	modes: string[];
	capabilities: Capabilities;
	premium: boolean;
	default: boolean;
	deprecated: boolean;
	experimental: boolean;
	available: boolean;
	unavailable_reason: string | null;
	from_credits: number | null;
	stats: { average_s?: number | null; median_s?: number | null } | null;
}

export interface Line { code: string; label: string; credits: number }

export interface Estimate {
	credits: number;
	breakdown: Line[];
	model: string;
	balance: number;
	affordable: boolean;
	credit_value?: { amount_micro: number; currency: string } | null;
}

export interface Me {
	id: string;
	email: string;
	name: string | null;
	role: string;
	balance: number;
	limits: { concurrent: number };
}

export interface Page<T> { data: T[]; next_cursor: string | null; has_more: boolean }

export interface Asset { id: string; url: string; width: number; height: number; mime: string; size_bytes: number }

export interface LedgerEntry {
	id: number | string;
	type: string;
	amount: number;
	balance_after: number;
	note: string | null;
	created_at: Time;
	generation_id?: string | null;
}

export interface Receipt {
	credits?: number;
	quote?: number;
	state: string;
	refunded: number;
	settled: number | null;
	fee?: number;
	plan_version?: number;
	breakdown: Line[];
	entries: LedgerEntry[];
}

export interface GenEvent {
	seq: number;
	type: string;
	version: number;
	data: Partial<Generation> & { status?: Status };
	created_at: Time;
}

export interface Attempt {
	id: string;
	number: number;
	status: string;
	provider: string;
	provider_job_id?: string | null;
	provider_status?: string | null;
	error_class?: string | null;
	error_code?: string | null;
	error_message?: string | null;
	cost_micro_usd?: number | null;
	cost_estimated?: boolean;
	worker_id?: string | null;
	created_at: Time;
	submitted_at?: Time | null;
	started_at?: Time | null;
	finished_at?: Time | null;
}

export interface ApiKey {
	id: string;
	name: string;
	prefix?: string;
	scopes: string[];
	created_at: Time;
	last_used_at?: Time | null;
	expires_at?: Time | null;
}

export interface AdminJob extends Generation {
	email?: string;
	user?: { id?: string; email?: string } | null;
	user_id?: string;
	provider_message?: string | null;
	job?: {
		id?: string; status?: string; step?: string; owner?: string | null;
		tries?: number; last_error?: string | null;
		result_expires_at?: Time | null; result_expiring?: boolean;
	} | null;
	money?: {
		cost_micro_usd: number | null; cost_estimated: boolean;
		revenue_micro_usd: number | null; margin_micro_usd: number | null;
	};
	attempts?: Attempt[];
	events?: GenEvent[];
	ledger?: LedgerEntry[];
}

export interface Overview {
	counts: Record<string, number>;
	oldest_queued_s?: number | null;
}

export interface Worker {
	id: string;
	name: string;
	version?: string | null;
	state: string;
	gpu?: string | null;
	gpu_name?: string | null;
	vram_mb?: number | null;
	completed?: number;
	failed?: number;
	generation_id?: string | null;
	seen_at?: Time | null;
	beat_at?: Time | null;
}

export interface AdminUser {
	id: string;
	email: string;
	name: string | null;
	role: string;
	status: string;
	balance: number;
	active?: number;
	created_at?: Time;
}

export interface Circuit { state: 'closed' | 'open' | 'half_open'; failures: number; opened_until: Time | null }

export interface ProviderLimits { concurrency: number | null; rpm: number | null }

export interface Account {
	id: string;
	label: string;
	state: 'on' | 'paused' | 'broken';
	paused_until: Time | null;
	paused_reason: string | null;
	key: { source: 'env' | 'file' | 'stored' | 'none'; hint: string | null; problem: string | null };
	base_url: string | null;
	weight: number;
	limits: ProviderLimits;
	circuit: Circuit;
	// They asked us to wait until then.
	held_until: Time | null;
	in_flight: number;
	spend_today_micro_usd: number;
}

export interface ProviderRoute { id: string; model: string; endpoint: string; priority: number; weight: number; active: boolean }

export interface Provider {
	name: string;
	title: string;
	kind: string;
	state: 'on' | 'paused' | 'broken';
	paused_until: Time | null;
	paused_reason: string | null;
	configured: boolean;
	needs_key: boolean;
	requests: { submitted_1h: number; failed_1h: number; error_rate_1h: number | null };
	in_flight: number;
	queued: number;
	spend_today_micro_usd: number;
	median_s: number | null;
	waiting_reason: string | null;
	recovery: string;
	webhooks: boolean;
	result_lifetime_s: number | null;
	limits: ProviderLimits;
	accounts: Account[];
	routes: ProviderRoute[];
}

export interface ProviderTest {
	ok: boolean;
	reachable: boolean;
	key: 'valid' | 'invalid' | 'unknown';
	balance?: string | null;
	latency_ms: number | null;
	message: string | null;
}
