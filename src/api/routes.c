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
#define WORKER USER("worker"), .flags = AUTH_JOB_TOKEN | AUTH_LIMIT_NONE
#define PROBE ANYONE, .flags = AUTH_LIMIT_NONE | HTTP_NO_LOG
#define ADMIN_API API "/admin"
#define PROVIDER ADMIN_API "/providers/{provider}"
#define ACCOUNT ADMIN_API "/accounts/{id}"
#define GENERATION API "/generations/{id}"
#define WORKER_JOB API "/worker/jobs/{attempt}"
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
    {HTTP_POST, API "/prompts/enhance", api_prompts_enhance, USER("generate"),
	.body = JSON, .max_body = ONE_MIB, .flags = AUTH_LIMIT_SUBMIT},
    {HTTP_POST, "/api/optimize-prompt", api_prompts_enhance, USER("generate"),
	.body = JSON, .max_body = ONE_MIB, .flags = AUTH_LIMIT_SUBMIT},

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

    /* generations */
    {HTTP_POST, API "/generations", api_generations_create, USER("generate"),
	.body = JSON, .max_body = ONE_MIB, .flags = AUTH_LIMIT_SUBMIT},
    {HTTP_GET, API "/generations", api_generations_list, USER("read")},
    {HTTP_GET, GENERATION, api_generations_get, USER("read")},
    {HTTP_PATCH, GENERATION, api_generations_patch, USER("generate"),
	.body = JSON},
    {HTTP_DELETE, GENERATION, api_generations_delete, USER("generate")},
    {HTTP_GET, GENERATION "/status", api_generations_status, USER("read")},
    {HTTP_POST, GENERATION "/cancel", api_generations_cancel, USER("generate"),
	.body = JSON, .flags = HTTP_BODY_OPTIONAL},
    {HTTP_POST, GENERATION "/retry", api_generations_retry, USER("generate"),
	.body = JSON, .flags = HTTP_BODY_OPTIONAL | AUTH_LIMIT_SUBMIT},
    {HTTP_GET, GENERATION "/events", api_generations_events, USER("read")},
    {HTTP_GET, GENERATION "/attempts", api_generations_attempts, USER("read")},
    {HTTP_GET, GENERATION "/receipt", api_generations_receipt, USER("read")},
    {HTTP_GET, GENERATION "/content", api_generations_content, USER("read")},
    {HTTP_GET, GENERATION "/download", api_generations_download, USER("read")},

    /* live */
    {HTTP_GET, "/ws", api_live_ws, ANYONE,
	.flags = AUTH_OPTIONAL | AUTH_TICKET},
    {HTTP_GET, API "/ws", api_live_ws, ANYONE,
	.flags = AUTH_OPTIONAL | AUTH_TICKET},
    {HTTP_GET, API "/events", api_live_events, ANYONE, .flags = AUTH_OPTIONAL},

    /* our own workers */
    {HTTP_POST, API "/worker/register", api_worker_register, WORKER,
	.body = JSON},
    {HTTP_POST, API "/worker/heartbeat", api_worker_heartbeat, WORKER,
	.body = JSON},
    {HTTP_POST, API "/worker/claim", api_worker_claim, WORKER, .body = JSON},
    {HTTP_POST, WORKER_JOB "/start", api_worker_start, WORKER, .body = JSON},
    {HTTP_POST, WORKER_JOB "/progress", api_worker_progress, WORKER,
	.body = JSON},
    {HTTP_POST, WORKER_JOB "/complete", api_worker_complete, WORKER,
	.body = JSON},
    {HTTP_POST, WORKER_JOB "/fail", api_worker_fail, WORKER, .body = JSON},
    {HTTP_PUT, WORKER_JOB "/upload", api_worker_upload, WORKER,
	.body = HTTP_BODY_FILE, .max_body = (size_t)1 << 30},
    {HTTP_GET, WORKER_JOB "/input/{which}", api_worker_input, WORKER},
    {HTTP_POST, "/functions/v1/job-callback", api_worker_callback,
	USER("worker"), .body = JSON,
	.flags = AUTH_JOB_TOKEN | AUTH_LIMIT_HOOK},

    /* providers call back: the token in the path is the credential */
    {HTTP_POST, "/hooks/{provider}/{attempt}/{token}", api_hooks, ANYONE,
	.body = HTTP_BODY_RAW, .max_body = ONE_MIB, .flags = AUTH_LIMIT_HOOK},

    /* operators */
    {HTTP_GET, ADMIN_API "/overview", api_admin_overview, OPERATOR},
    {HTTP_GET, ADMIN_API "/jobs", api_admin_jobs, OPERATOR},
    {HTTP_GET, "/api/jobs", api_admin_jobs, OPERATOR},
    {HTTP_POST, ADMIN_API "/jobs/bulk", api_admin_jobs_bulk, OPERATOR,
	.body = JSON},
    {HTTP_GET, ADMIN_API "/jobs/{id}", api_admin_job, OPERATOR},
    {HTTP_POST, ADMIN_API "/jobs/{id}/retry", api_admin_job_retry, OPERATOR,
	.body = JSON, .flags = HTTP_BODY_OPTIONAL},
    {HTTP_POST, ADMIN_API "/jobs/{id}/cancel", api_admin_job_cancel, OPERATOR,
	.body = JSON, .flags = HTTP_BODY_OPTIONAL},
    {HTTP_GET, ADMIN_API "/queues", api_admin_queues, OPERATOR},
    {HTTP_POST, ADMIN_API "/queues/{provider}/pause", api_admin_queue_pause,
	OPERATOR, .body = JSON, .flags = HTTP_BODY_OPTIONAL},
    {HTTP_POST, ADMIN_API "/queues/{provider}/resume", api_admin_queue_resume,
	OPERATOR, .body = JSON, .flags = HTTP_BODY_OPTIONAL},
    {HTTP_GET, ADMIN_API "/providers", api_admin_providers, OPERATOR},
    {HTTP_GET, PROVIDER, api_admin_providers, OPERATOR},
    {HTTP_POST, PROVIDER "/pause", api_admin_queue_pause, ADMIN, .body = JSON,
	.flags = HTTP_BODY_OPTIONAL},
    {HTTP_POST, PROVIDER "/resume", api_admin_queue_resume, ADMIN, .body = JSON,
	.flags = HTTP_BODY_OPTIONAL},
    {HTTP_POST, PROVIDER "/accounts", api_admin_accounts_create, ADMIN,
	.body = JSON},
    {HTTP_POST, PROVIDER "/test", api_admin_providers_test, ADMIN, .body = JSON,
	.flags = HTTP_BODY_OPTIONAL},
    {HTTP_POST, ACCOUNT "/test", api_admin_accounts_test, ADMIN, .body = JSON,
	.flags = HTTP_BODY_OPTIONAL},
    {HTTP_PATCH, ACCOUNT, api_admin_accounts_patch, ADMIN, .body = JSON},
    {HTTP_DELETE, ACCOUNT, api_admin_accounts_delete, ADMIN},
    {HTTP_POST, ACCOUNT "/pause", api_admin_accounts_pause, ADMIN, .body = JSON,
	.flags = HTTP_BODY_OPTIONAL},
    {HTTP_POST, ACCOUNT "/resume", api_admin_accounts_resume, ADMIN,
	.body = JSON, .flags = HTTP_BODY_OPTIONAL},
    {HTTP_PATCH, ADMIN_API "/routes/{id}", api_admin_routes_patch, ADMIN,
	.body = JSON},
    {HTTP_GET, ADMIN_API "/workers", api_admin_workers, OPERATOR},
    {HTTP_POST, ADMIN_API "/workers/{id}/drain", api_admin_worker_drain,
	OPERATOR, .body = JSON, .flags = HTTP_BODY_OPTIONAL},

    /* admins: people and money */
    {HTTP_GET, ADMIN_API "/users", api_admin_users, ADMIN},
    {HTTP_POST, ADMIN_API "/users", api_admin_users_create, ADMIN,
	.body = JSON},
    {HTTP_PATCH, ADMIN_API "/users/{id}", api_admin_users_patch, ADMIN,
	.body = JSON},
    {HTTP_POST, ADMIN_API "/users/{id}/credits", api_admin_users_credits, ADMIN,
	.body = JSON},
    {HTTP_POST, ADMIN_API "/review/{id}/resolve", api_admin_review_resolve,
	ADMIN, .body = JSON},
    {HTTP_GET, ADMIN_API "/audit/ledger", api_admin_audit_ledger, ADMIN},
    {HTTP_GET, ADMIN_API "/audit-log", api_admin_audit_log, ADMIN},

    /* operations */
    {HTTP_GET, "/livez", api_livez, PROBE},
    {HTTP_GET, "/readyz", api_readyz, PROBE},
    {HTTP_GET, "/healthz", api_livez, PROBE},
    {HTTP_GET, "/version", api_version, PROBE},
    {HTTP_GET, "/metrics", api_metrics, ANYONE,
	.flags = AUTH_OPTIONAL | AUTH_LIMIT_NONE | HTTP_NO_LOG},
};

const struct http_route *
api_routes(size_t *n)
{
	*n = nitems(routes);
	return routes;
}
