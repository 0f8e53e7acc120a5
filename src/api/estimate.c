/* estimate.c - POST /estimate: what a generation would cost, line by line. */
#include "api/handlers.h"
#include "api/internal.h"
#include "reeld/price.h"
#include "reeld/spec.h"

static void
reply_free(void *arg)
{
	struct json_object *reply = arg;

	json_free(&reply);
}

static void
on_balance(struct http_call *call, const struct pg_rows *rows, void *arg)
{
	struct json_object *reply = arg;
	int64_t credits = 0, balance = pg_i64(rows, 0, "balance");

	json_set_int(reply, "balance", balance);
	json_set_bool(reply, "affordable",
	    json_int_at(reply, "credits", &credits) && credits <= balance);
	http_reply_json(call, 200, &reply);
}

static struct json_object *
show(const struct catalogue *cat, const struct api_order *order)
{
	struct json_object *reply = json_new(), *value = json_new();
	struct json_object *lines = price_breakdown(order->quote);
	struct json_object *spec = spec_public(order->spec);

	json_set_int(reply, "credits", order->quote->credits);
	json_set_arr(reply, "breakdown", &lines);
	json_set_text(reply, "model", order->model->slug);
	json_set_int(reply, "price_plan_version", order->model->plan_version);
	json_set_text(reply, "mode", gen_mode_name(order->spec->mode));
	json_set_obj(reply, "spec", &spec);
	json_set_int(
	    reply, "blocked_fee", price_blocked_fee(order->model->rule));
	json_set_bool(reply, "available", order->model->available);
	json_set_text(
	    reply, "unavailable_reason", order->model->unavailable_reason);
	json_set_int(value, "amount_micro",
	    catalogue_config_int(cat, "credit_value_micros", 10000));
	json_set_text(
	    value, "currency", catalogue_config_text(cat, "currency", "USD"));
	json_set_obj(reply, "credit_value", &value);
	return reply;
}

void
api_estimate(struct http_call *call)
{
	const char *user = api_me(call)->user;
	struct json_object *reply;
	struct api_order order;
	struct err err;

	if (!api_order_read(call, true, &order, &err)) {
		http_reply_err(call, &err);
		return;
	}
	reply = show(api_app(call)->catalogue, &order);
	api_order_fini(&order);
	api_query_mine(call, STMT_CREDIT_GET, PG_AS(user, user), on_balance,
	    reply, reply_free);
}
