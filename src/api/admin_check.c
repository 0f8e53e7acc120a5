/* admin_check.c - "does this account work?", asked for an operator. */
#include <stdlib.h>

#include "api/admin_providers.h"
#include "api/handlers.h"
#include "reeld/jobs.h"
#include "reeld/provider.h"

struct asking {
	struct http_call *call;
	struct account_check *check;
	struct id id;
	char label[128];
};

static void
on_gone(void *arg)
{
	struct asking *self = arg;

	account_check_cancel(&self->check);
	free(self);
}

static void
on_checked(const struct provider_health *health, int64_t latency_ms, void *arg)
{
	struct asking *self = arg;
	struct http_call *call = self->call;
	struct json_object *obj = json_new(), *balance = NULL;

	json_set_text(obj, "account_id", self->id.text);
	json_set_text(obj, "account", self->label);
	json_set_bool(obj, "ok", health->ok);
	json_set_bool(obj, "reachable", health->reachable);
	json_set_text(obj, "key", provider_key_name(health->key));
	if (health->has_balance) {
		balance = json_new();
		json_set_num(balance, "amount", health->balance);
		json_set_text(balance, "unit", health->unit);
	}
	json_set_obj(obj, "balance", &balance);
	json_set_int(obj, "latency_ms", latency_ms);
	json_set_text(obj, "message", health->message);
	free(self);
	http_reply_json(call, 200, &obj);
}

static void
ask(struct http_call *call, const struct catalogue_account *account)
{
	struct app *app = api_app(call);
	struct asking *self = xcalloc(1, sizeof *self);

	self->call = call;
	self->id = account->id;
	str_copy(self->label, sizeof self->label, account->label);
	http_on_gone(call, on_gone, self);
	account_check_start(app->loop, app->fetch, account->provider, account,
	    &self->check, on_checked, self);
}

void
api_admin_accounts_test(struct http_call *call)
{
	const struct catalogue_account *account;
	struct id id;

	if (!api_id(call, "id", &id))
		return;
	account = catalogue_account(api_app(call)->catalogue, id.text);
	if (account == NULL)
		api_not_found(call);
	else
		ask(call, account);
}

/* Its first account that has a key. */
void
api_admin_providers_test(struct http_call *call)
{
	size_t n;
	const struct catalogue_account *all = catalogue_accounts(
	    api_app(call)->catalogue, http_arg(call, "provider"), &n);
	const struct catalogue_account *account = all;

	if (n == 0) {
		api_not_found(call);
		return;
	}
	for (size_t i = 0; i < n && account->key == NULL; i++)
		if (all[i].key != NULL)
			account = &all[i];
	ask(call, account);
}
