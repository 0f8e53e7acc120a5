/* credits.c - GET /credits and /credits/ledger: the caller's money. */
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/internal.h"

static void
on_credits(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *grants = pg_json(rows, 0, "grants");
	struct json_object *reply = json_new(), *list = json_new_arr();
	struct json_object *value = json_new();
	const struct catalogue *cat = api_app(call)->catalogue;

	api_set_int(reply, "balance", rows, 0, "balance");
	api_set_int(reply, "version", rows, 0, "version");
	for (size_t i = 0; i < json_count(grants); i++) {
		struct json_object *grant = json_item(grants, i);
		struct json_object *item = json_new();
		int64_t ms = 0;

		json_set_copy(item, "remaining", json_at(grant, "remaining"));
		json_set_text(item, "source", json_text_at(grant, "source"));
		if (json_int_at(grant, "expires_ms", &ms))
			json_set_time_ms(item, "expires_at", ms);
		else
			json_set_null(item, "expires_at");
		json_add_obj(list, &item);
	}
	json_set_arr(reply, "grants", &list);
	json_set_int(value, "amount_micro",
	    catalogue_config_int(cat, "credit_value_micros", 10000));
	json_set_text(
	    value, "currency", catalogue_config_text(cat, "currency", "USD"));
	json_set_obj(reply, "credit_value", &value);
	json_free(&grants);
	http_reply_json(call, 200, &reply);
}

void
api_credits_get(struct http_call *call)
{
	const char *user = api_me(call)->user;

	api_query_mine(
	    call, STMT_CREDIT_GET, PG_AS(user, user), on_credits, NULL, NULL);
}

static struct json_object *
show(const struct pg_rows *rows, int row, void *arg)
{
	struct json_object *item = json_new();

	api_set_int(item, "id", rows, row, "id");
	api_set_text(item, "type", rows, row, "type");
	api_set_int(item, "amount", rows, row, "amount");
	api_set_int(item, "balance_after", rows, row, "balance_after");
	api_set_text(item, "note", rows, row, "note");
	api_set_text(item, "generation_id", rows, row, "generation_id");
	api_set_time(item, "created_at", rows, row, "created_ms");
	return item;
}

static void
on_ledger(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct api_page *page = arg;

	api_page_reply(call, page, rows, "id", NULL, show, NULL);
	free(page);
}

static bool
type_ok(struct http_call *call, const char *type)
{
	/* The type ledger_type of 0004_money.sql. */
	static const char *const known[] = {"purchase", "subscription_grant",
	    "bonus", "promo", "video_generation", "video_refund",
	    "settle_refund", "adjustment", "expire", "transfer"};
	struct err err;

	if (type == NULL)
		return true;
	for (size_t i = 0; i < nitems(known); i++)
		if (strcmp(known[i], type) == 0)
			return true;
	err_set_field(&err, ERR_INVALID, "bad_type", "?type",
	    "\"%.40s\" is no type of entry.", type);
	http_reply_err(call, &err);
	return false;
}

void
api_credits_ledger(struct http_call *call)
{
	const char *user = api_me(call)->user;
	const char *type = http_query(call, "type");
	struct api_page page;

	if (!type_ok(call, type) || !api_page_read(call, 50, 200, &page))
		return;
	api_query(call, api_app(call)->pg, STMT_LEDGER_LIST,
	    PG_AS(user, user, type, page.sort, page.limit_plus_1), on_ledger,
	    xmemdup(&page, sizeof page), free);
}
