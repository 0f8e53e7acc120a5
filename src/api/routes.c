/*
 * routes.c - every URL of reeld on one screen: method, path, handler, who may
 * (role and API-key scope), body, limits.
 */
#include "api/handlers.h"
#include "reeld/api.h"
#include "reeld/mem.h"

#define API "/api/v1"
#define JSON HTTP_BODY_JSON
#define MULTIPART HTTP_BODY_MULTIPART
/* Visitors, users, operators, admins; workers are API keys. */
#define ANYONE .role = ROLE_VISITOR
#define USER(s) .role = ROLE_USER, .scope = (s)
#define OPERATOR .role = ROLE_OPERATOR, .scope = "admin"
#define ADMIN .role = ROLE_ADMIN, .scope = "admin"
#define ONE_MIB (1 << 20)

static const struct http_route routes[] = {
    /* who is calling */
    {HTTP_GET, API "/auth/providers", api_auth_providers, ANYONE},
    {HTTP_POST, API "/auth/link", api_auth_link, ANYONE, .body = JSON,
	.max_body = 4096, .flags = AUTH_LIMIT_LOGIN},
    {HTTP_POST, API "/auth/logout", api_auth_logout, ANYONE, .body = JSON,
	.flags = AUTH_OPTIONAL | HTTP_BODY_OPTIONAL},
    {HTTP_GET, API "/sessions", api_sessions_list, USER("admin")},
    {HTTP_DELETE, API "/sessions/{id}", api_sessions_delete, USER("admin")},
    {HTTP_GET, API "/me", api_me_get, USER("read")},
    {HTTP_PATCH, API "/me", api_me_patch, USER("admin"), .body = JSON},
    {HTTP_GET, API "/me/limits", api_me_limits, USER("read")},
    {HTTP_GET, API "/keys", api_keys_list, USER("admin")},
    {HTTP_POST, API "/keys", api_keys_create, USER("admin"), .body = JSON},
    {HTTP_DELETE, API "/keys/{id}", api_keys_delete, USER("admin")},
    {HTTP_POST, API "/ws/ticket", api_ws_ticket, USER("read"), .body = JSON,
	.flags = HTTP_BODY_OPTIONAL},

    /* models and prices */
    {HTTP_GET, API "/models", api_models_list, ANYONE},
    {HTTP_GET, API "/models/default", api_models_default, ANYONE},
    {HTTP_GET, API "/models/{slug}", api_models_get, ANYONE},
    {HTTP_POST, API "/estimate", api_estimate, USER("read"), .body = JSON,
	.max_body = ONE_MIB},

    /* images */
    {HTTP_POST, API "/uploads", api_uploads_create, USER("generate"),
	.body = MULTIPART, .max_body = 11 * ONE_MIB,
	.flags = AUTH_LIMIT_UPLOAD},
    {HTTP_GET, API "/assets", api_assets_list, USER("read")},
    {HTTP_GET, API "/assets/{id}", api_assets_get, USER("read")},
    {HTTP_DELETE, API "/assets/{id}", api_assets_delete, USER("generate")},
    {HTTP_GET, API "/assets/{id}/content", api_assets_content, USER("read")},
    {HTTP_GET, API "/storage/usage", api_storage_usage, USER("read")},

    /* credits */
    {HTTP_GET, API "/credits", api_credits_get, USER("read")},
    {HTTP_GET, API "/credits/ledger", api_credits_ledger, USER("read")},
};

const struct http_route *
api_routes(size_t *n)
{
	*n = nitems(routes);
	return routes;
}
