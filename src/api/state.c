/*
 * state.c - what the api layer keeps between requests: work that goes on
 * after its client hung up.
 */
#include <stdlib.h>

#include "api/live_hooks.h"
#include "api/state.h"
#include "reeld/conf.h"
#include "reeld/provider.h"

void
api_open(struct app *app)
{
	app->api = xcalloc(1, sizeof *app->api);
	app->api->live = live_state_open(app);
}

void
api_close(struct app *app)
{
	if (app->api == NULL)
		return;
	while (app->api->work != NULL)
		app->api->work->end(app->api->work);
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
api_provider_ready(void *app_arg, const char *provider, struct err *why)
{
	struct app *app = app_arg;
	const struct provider *adapter = provider_by_name(provider);
	const struct conf_provider *settings =
	    conf_provider(app->conf, provider);

	if (adapter == NULL)
		return err_set_name(why, ERR_UNAVAILABLE, "no_adapter",
		    "This server cannot talk to %s.", provider);
	if (adapter->needs_key &&
	    (settings == NULL || settings->key[0] == '\0'))
		return err_set_name(why, ERR_UNAVAILABLE, "no_key",
		    "No key for %s is configured.", adapter->title);
	return true;
}
