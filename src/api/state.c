/*
 * state.c - what the api layer keeps between requests: work that goes on
 * after its client hung up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/live_hooks.h"
#include "api/state.h"
#include "api/submits.h"
#include "reeld/conf.h"
#include "reeld/mem.h"
#include "reeld/provider.h"

void
api_open(struct app *app)
{
	app->api = xcalloc(1, sizeof *app->api);
	app->api->live = live_state_open(app);
	app->api->submits = submits_open(app);
}

void
api_close(struct app *app)
{
	if (app->api == NULL)
		return;
	while (app->api->work != NULL)
		app->api->work->end(app->api->work);
	submits_close(app->api->submits);
	live_state_close(app->api->live);
	free(app->api);
	app->api = NULL;
}

void
api_work_begin(
    struct app *app, struct api_work *work, void (*end)(struct api_work *work))
{
	work->end = end;
	work->prev = &app->api->work;
	work->next = app->api->work;
	if (work->next != NULL)
		work->next->prev = &work->next;
	app->api->work = work;
}

void
api_work_end(struct api_work *work)
{
	*work->prev = work->next;
	if (work->next != NULL)
		work->next->prev = work->prev;
}

bool
api_provider_ready(
    void *app, const char *provider, bool has_key, struct err *why)
{
	const struct provider *adapter = provider_by_name(provider);

	(void)app;

	if (adapter == NULL)
		return err_set_name(why, ERR_UNAVAILABLE, "no_adapter",
		    "This server cannot talk to %s.", provider);
	if (adapter->needs_key && !has_key)
		return err_set_name(why, ERR_UNAVAILABLE, "no_key",
		    "No key for %s is configured.", adapter->title);
	return true;
}

const char *
api_provider_known(void *app, size_t i, const char **title)
{
	const struct provider *adapter = provider_at(i);

	(void)app;
	if (adapter == NULL)
		return NULL;
	*title = adapter->title;
	return adapter->name;
}

bool
api_provider_settings(
    void *app_arg, const char *provider, struct catalogue_settings *out)
{
	struct app *app = app_arg;
	const struct conf_provider *settings =
	    conf_provider(app->conf, provider);
	const char *origin;
	char name[80];

	memset(out, 0, sizeof *out);
	if (settings == NULL)
		return false;
	snprintf(name, sizeof name, "provider.%.60s.key", provider);
	origin = conf_origin(app->conf, name);
	*out = (struct catalogue_settings){
	    .base_url =
		settings->base_url[0] != '\0' ? settings->base_url : NULL,
	    .key = settings->key[0] != '\0' ? settings->key : NULL,
	    .source =
		origin != NULL && str_starts(origin, "env ") ? "env" : "file",
	    .hook_secret = settings->webhook_secret[0] != '\0'
		? settings->webhook_secret
		: NULL,
	    .allow_private = settings->allow_private,
	    .concurrency = (int)settings->concurrency,
	    .rpm = (int)settings->rpm,
	};
	return true;
}
