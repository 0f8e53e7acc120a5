/*
 * job.c - one job in memory: driven by step(), freed when the row is somebody
 * else's or has ended.  Owns every slot of its work.  row.c makes it.
 */
#define LOG_MODULE "jobs"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/internal.h"
#include "reeld/clock.h"
#include "reeld/json.h"
#include "reeld/log.h"
#include "reeld/price.h"

enum { JOB_LATE_MS = 100 };

void
job_on_timer(void *arg)
{
	struct job *job = arg;
	struct engine_stats *stats = &job->engine->stats;

	stats->timers++;
	stats->timers_late += clock_mono_ms() - job->due_ms > JOB_LATE_MS;
	job_on_simple(job, ON_TIMER);
}

void
job_file_drop(struct job *job, struct job_file *file)
{
	if (file->temp[0] != '\0')
		storage_temp_drop(job->engine->d.storage, file->temp);
	if (file->fd >= 0)
		close(file->fd);
	memset(file, 0, sizeof *file);
	file->fd = -1;
}

/* Nothing of it is in flight any more. */
static void
halt(struct job *job)
{
	timer_clear(&job->timer);
	loop_defer_cancel(&job->defer);
	pg_query_cancel(&job->query);
	pg_item_cancel(&job->item);
	fetch_cancel(&job->call);
	work_cancel(&job->work);
	storage_cancel(&job->storage);
}

void
job_free(struct job *job)
{
	struct engine *engine;

	if (job == NULL)
		return;
	engine = job->engine;
	halt(job);
	images_free(job);
	timer_fini(&job->timer);
	engine_slot_free(job);
	if (job->dirty)
		TAILQ_REMOVE(&engine->dirty, job, dirty_entry);
	progress_cleaned(job);
	expiry_set(job, 0);
	if (engine->check_next == job)
		engine->check_next = TAILQ_NEXT(job, entry);
	TAILQ_REMOVE(&engine->jobs, job, entry);
	HASH_DELETE(hh, engine->by_generation, job);
	job->lane->running--;
	account_count(job, -1);
	engine->stats.active--;
	if (job->has_sink)
		fetch_sink_fini(&job->sink);
	job_file_drop(job, &job->video);
	job_file_drop(job, &job->poster);
	job_file_drop(job, &job->playable);
	doc_drop(engine, &job->params);
	json_free(&job->refs);
	doc_drop(engine, &job->cost_rule);
	if (job->has_spec)
		spec_fini(&job->spec);
	free(job->enhanced);
	free(job->endpoint);
	free(job->last_said);
	free(job->provider_id);
	free(job->result_url);
	free(job);
	engine_job_gone(engine);
}

struct job *
job_find(struct engine *engine, const char *generation)
{
	struct job *job = NULL;

	if (generation != NULL)
		HASH_FIND(hh, engine->by_generation, generation,
		    strlen(generation), job);
	return job;
}

/* The attempt's own secret: in its callback URL and for its worker. */
char *
job_token(const struct job *job)
{
	const struct engine *engine = job->engine;
	uint8_t mac[32];
	char *text = xmalloc(48);

	hmac_sha256(engine->secret, engine->d.secret_len, job->attempt.text,
	    ID_LEN, mac);
	b64url_encode(text, mac, sizeof mac);
	return text;
}

/* Everything borrowed from the job; callback_url is the caller's to free. */
void
job_provider(struct job *job, struct provider_job *out)
{
	const struct catalogue_account *account = job_account(job);

	memset(out, 0, sizeof *out);
	out->generation_id = job->generation.text;
	out->attempt_id = job->attempt.text;
	out->user_id = job->user.text;
	out->nonce = job->nonce.text;
	out->spec = &job->spec;
	out->endpoint = job->endpoint;
	out->params = doc_json(job->params);
	out->now_ms = clock_wall_ms();
	out->provider_id = job->provider_id;
	out->refs = job->refs;
	out->polls = job->polls;
	if (account != NULL) {
		out->base_url = account->base_url;
		out->key = account->key;
		out->allow_private = account->allow_private;
	}
}

void
job_why(struct job *job, const char *class, const char *code, const char *user,
    const char *provider, bool retry)
{
	str_copy(job->why_class, sizeof job->why_class, class);
	str_copy(job->why_code, sizeof job->why_code, code);
	str_copy(job->why_user, sizeof job->why_user, user);
	str_copy(job->why_provider, sizeof job->why_provider,
	    provider != NULL ? provider : "");
	job->why_retry = retry;
}

void
job_why_verdict(struct job *job, const struct provider_verdict *verdict)
{
	job_why(job,
	    verdict->class != PROVIDER_CLASS_NONE
		? provider_class_name(verdict->class)
		: "provider",
	    verdict->code[0] != '\0' ? verdict->code : "provider_failed",
	    verdict->user_message[0] != '\0'
		? verdict->user_message
		: "The provider could not make this video.",
	    verdict->provider_message, verdict->may_retry);
}

/* Keeps what a reply brought. */
void
job_learn(struct job *job, struct provider_verdict *verdict)
{
	int64_t micro_usd;

	if (verdict->provider_id != NULL) {
		free(job->provider_id);
		job->provider_id = verdict->provider_id;
		verdict->provider_id = NULL;
	}
	if (verdict->refs != NULL) {
		json_free(&job->refs);
		job->refs = verdict->refs;
		verdict->refs = NULL;
	}
	if (verdict->result_url != NULL) {
		free(job->result_url);
		job->result_url = verdict->result_url;
		verdict->result_url = NULL;
		job->result_needs_key = verdict->result_needs_key;
		expiry_learn(job, verdict->result_expires_ms);
	}
	if (verdict->cost_micro_usd >= 0)
		job->cost_micro_usd = verdict->cost_micro_usd;
	else if (verdict->billable_units >= 0 &&
	    price_cost_of_units(
		doc_json(job->cost_rule), verdict->billable_units, &micro_usd))
		job->cost_micro_usd = micro_usd;
}

void
job_perform(struct job *job, enum step_do effect, int64_t delay_ms)
{
	switch (effect) {
	case DO_NOTHING:
		break;
	case DO_ENHANCE:
		enhance_start(job);
		break;
	case DO_START:
		submit_attempt(job);
		break;
	case DO_SEND:
		submit_send(job);
		break;
	case DO_RECORD:
		submit_record(job);
		break;
	case DO_PARK:
		end_park(job, delay_ms);
		break;
	case DO_WAIT:
		job->due_ms = clock_mono_ms() + delay_ms;
		timer_set_ms(&job->timer, delay_ms);
		break;
	case DO_POLL:
		poll_start(job);
		break;
	case DO_REVOKE:
		poll_revoke(job);
		break;
	case DO_FINALIZE:
		download_finalize(job);
		break;
	case DO_DOWNLOAD:
		download_start(job);
		break;
	case DO_PROBE:
		finish_probe(job);
		break;
	case DO_STORE:
		finish_store(job);
		break;
	case DO_RENDER:
		finish_render(job);
		break;
	case DO_POST:
		finish_poster(job);
		break;
	case DO_FINISH:
		finish_commit(job);
		break;
	case DO_FAIL:
		end_fail(job);
		break;
	case DO_CANCELLED:
		end_cancelled(job);
		break;
	case DO_REVIEW:
		end_review(job);
		break;
	case DO_REQUEUE:
		end_requeue(job, delay_ms);
		break;
	case DO_RELEASE:
		end_release(job);
		break;
	case DO_DROP:
		job_free(job);
		break;
	case STEP_DOS:
		assert(!"no such effect");
	}
}

/* A whole effect is behind it, and now it only waits.  Not so the wait before
 * the first one, which a webhook may shorten. */
static bool
took_step(enum step_phase was, const struct step_event *event,
    const struct step_out *o)
{
	if (o->state.phase == STEP_PARKED)
		return true;
	return o->effect == DO_WAIT && was != STEP_NEW &&
	    event->on != ON_HURRY && event->on != ON_DB_AWAY;
}

void
job_on(struct job *job, struct step_event *event)
{
	enum step_phase was = job->state.phase;
	struct step_out o;

	event->now_ms = clock_mono_ms();
	event->random = random_below(UINT32_MAX);
	o = step(&job->state, event);
	if (o.state.phase != was || o.effect != DO_NOTHING)
		log_debug("job=%s gen=%s on=%s from=%s to=%s do=%s "
			  "delay_ms=%" PRId64,
		    job->id.text, job->generation.text, step_on_name(event->on),
		    step_phase_name(was), step_phase_name(o.state.phase),
		    step_do_name(o.effect), o.delay_ms);
	job->state = o.state;
	if (took_step(was, event, &o))
		progress_clean(job);
	if (o.effect == DO_NOTHING)
		return;
	halt(job);
	if (event->on == ON_LOST) {
		job->engine->stats.lease_lost++;
		job->engine->check_soon = true;
	}
	if (engine_slot(job, o.effect))
		job_perform(job, o.effect, o.delay_ms);
}

void
job_on_simple(struct job *job, enum step_on on)
{
	struct step_event event = {.on = on};

	job_on(job, &event);
}

void
job_on_why(struct job *job, enum step_on on, const char *why)
{
	struct step_event event = {.on = on, .why = why};

	job_on(job, &event);
}

static void
on_later(void *arg)
{
	struct job *job = arg;
	struct step_event event = job->later;

	event.why = job->later_why;
	job_on(job, &event);
}

void
job_later(struct job *job, enum step_on on, const char *why)
{
	memset(&job->later, 0, sizeof job->later);
	job->later.on = on;
	str_copy(job->later_why, sizeof job->later_why, why ? why : "");
	loop_defer_cancel(&job->defer);
	loop_defer(
	    job->engine->d.loop, "job later", on_later, job, &job->defer);
}

void
job_begin(struct job *job)
{
	job_on_simple(job, ON_CLAIM);
}

void
job_dump(const struct job *job)
{
	log_info("job=%s gen=%s attempt=%s provider=%s phase=%s polls=%d "
		 "query=%d call=%d work=%d storage=%d timer=%d slot=%d",
	    job->id.text, job->generation.text, job->attempt.text,
	    job->lane->provider->name, step_phase_name(job->state.phase),
	    job->polls, job->query != NULL || job->item != NULL,
	    job->call != NULL, job->work != NULL, job->storage != NULL,
	    job->timer.armed, job->has_slot);
}
