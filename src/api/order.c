/*
 * order.c - what a generation is asked to be: the body that POST /generations
 * and POST /estimate share, checked against the model and priced.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/enhance.h"
#include "api/internal.h"
#include "reeld/capability.h"
#include "reeld/price.h"
#include "reeld/spec.h"

enum { MAX_PROMPT = 20000, MAX_TITLE = 200 };

struct body {
	char *model, *prompt, *negative_prompt, *resolution, *aspect_ratio;
	char *title;
	struct json_num duration;
	struct json_int seed, fps, max_credits;
	struct json_bool audio, enhance;
	struct id start_image, end_image, project;
};

static const struct json_field fields[] = {
    JTEXT(struct body, model, 1, 100, JREQ),
    JTEXT(struct body, prompt, 0, MAX_PROMPT),
    JTEXT(struct body, negative_prompt, 0, MAX_PROMPT),
    JNUM(struct body, duration, 0.001, 3600),
    JTEXT(struct body, resolution, 1, 15),
    JTEXT(struct body, aspect_ratio, 1, 15),
    JBOOL(struct body, audio),
    JBOOL(struct body, enhance),
    JINT(struct body, seed, 0, INT64_C(9007199254740991)),
    JINT(struct body, fps, 1, 240),
    JID(struct body, start_image),
    JID(struct body, end_image),
    JTEXT(struct body, title, 0, MAX_TITLE),
    JINT(struct body, max_credits, 0, PRICE_MAX_CREDITS),
    JID(struct body, project, JAS("project_id")),
};

static bool
find_model(struct catalogue *cat, const char *slug, bool estimate,
    const struct catalogue_model **out, struct err *err)
{
	const struct catalogue_model *model = catalogue_model(cat, slug);

	if (!catalogue_ready(cat)) {
		err_set_name(err, ERR_UNAVAILABLE, "catalogue_loading",
		    "The models are not loaded yet.");
		err->retry_after_s = 1;
		return false;
	}
	if (model == NULL || (!model->active && !model->available))
		return err_set_field(err, ERR_INVALID, "unknown_model",
		    "#/model", "There is no model \"%.100s\".", slug);
	if (!estimate &&
	    !catalogue_config_bool(cat, "video_generation_enabled", true))
		return err_set_name(err, ERR_UNAVAILABLE, "generation_disabled",
		    "New generations are switched off for the moment.");
	if (!estimate && !model->available)
		return err_set_field(err, ERR_UNAVAILABLE, "model_unavailable",
		    "#/model", "%s can't be used now: %s", model->name,
		    model->unavailable_reason);
	*out = model;
	return true;
}

static bool
fill_spec(const struct body *body, bool estimate, struct gen_spec *spec,
    struct err *err)
{
	double ms = body->duration.set ? body->duration.v * 1000 : 0;

	if (fabs(ms - round(ms)) > 1e-6)
		return err_set_field(err, ERR_INVALID, "unsupported_duration",
		    "#/duration", "Seconds have at most three decimals.");
	spec->duration_ms = llround(ms);
	spec->prompt = xstrdup(body->prompt != NULL && body->prompt[0] != '\0'
		? body->prompt
		: estimate ? "-"
			   : "");
	if (body->negative_prompt != NULL && body->negative_prompt[0] != '\0')
		spec->negative_prompt = xstrdup(body->negative_prompt);
	str_copy(spec->resolution, sizeof spec->resolution,
	    body->resolution != NULL ? body->resolution : "");
	str_copy(spec->aspect_ratio, sizeof spec->aspect_ratio,
	    body->aspect_ratio != NULL ? body->aspect_ratio : "");
	spec->fps = body->fps.set ? (int)body->fps.v : 0;
	spec->has_seed = body->seed.set;
	spec->seed = body->seed.set ? body->seed.v : 0;
	spec->audio = !body->audio.set ? GEN_AUDIO_UNSET
	    : body->audio.v	       ? GEN_AUDIO_ON
				       : GEN_AUDIO_OFF;
	spec->enhance = body->enhance.set && body->enhance.v;
	spec->start_asset = body->start_image;
	spec->end_asset = body->end_image;
	return true;
}

/* A price may hold a term for it, so nobody orders what nobody does. */
static bool
check_enhance(const struct app *app, const struct body *body, struct err *err)
{
	if (!body->enhance.v || api_can_enhance(app))
		return true;
	return err_set_field(err, ERR_INVALID, "unsupported_enhance",
	    "#/enhance", "Prompt enhancement is not set up on this server.");
}

bool
api_order_read(struct http_call *call, bool estimate, struct api_order *out,
    struct err *err)
{
	struct app *app = api_app(call);
	struct price_input input;
	struct body body;
	bool ok;

	memset(out, 0, sizeof *out);
	if (!json_read(http_json(call), fields, nitems(fields), &body, err))
		return false;
	out->spec = xcalloc(1, sizeof *out->spec);
	spec_init(out->spec);
	out->quote = xcalloc(1, sizeof *out->quote);
	out->max_credits = body.max_credits.set ? body.max_credits.v : -1;
	out->project = body.project;
	if (body.title != NULL && body.title[0] != '\0')
		out->title = xstrdup(body.title);
	ok = find_model(
		 app->catalogue, body.model, estimate, &out->model, err) &&
	    check_enhance(app, &body, err) &&
	    fill_spec(&body, estimate, out->spec, err) &&
	    capability_check(out->model->capabilities, out->spec, err);
	if (ok) {
		input = price_input_of(out->spec);
		ok = price_quote(out->model->rule, &input, out->quote, err);
	}
	json_read_free(fields, nitems(fields), &body);
	if (!ok)
		api_order_fini(out);
	return ok;
}

void
api_order_fini(struct api_order *order)
{
	if (order->spec != NULL)
		spec_fini(order->spec);
	free(order->spec);
	free(order->quote);
	free(order->title);
	memset(order, 0, sizeof *order);
}
