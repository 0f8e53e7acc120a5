/* admin_providers.h - the shapes of an account and a route, and the replies
 * to what changes them. */
#ifndef REELD_API_ADMIN_PROVIDERS_H
#define REELD_API_ADMIN_PROVIDERS_H

#include "api/admin.h"
#include "reeld/catalogue.h"
#include "reeld/clock.h"

/* A row of admin_accounts. */
struct json_object *
admin_account_view(const struct app *app, const struct pg_rows *rows, int row);
/* A row of admin_routes. */
struct json_object *admin_route_view(const struct pg_rows *rows, int row);

#endif
