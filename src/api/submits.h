/*
 * submits.h - paid submits on their way to the database.  Those that arrive
 * while another is under way travel together, as one transaction: the disk is
 * asked once for all of them, and most of the statements' cost is paid once.
 *
 * Nobody waits for company: what comes while nothing is under way goes at the
 * end of the turn.  Each order has its own outcome; when a shared transaction
 * is rolled back its orders are sent again.  If that was because somebody else
 * had locked a user's account for a tenth of a second, only his orders wait,
 * one alone and the others behind it.
 */
#ifndef REELD_API_SUBMITS_H
#define REELD_API_SUBMITS_H

#include "api/internal.h"

struct submits;
struct submit; /* valid exactly while its slot is not NULL */

struct submits *submits_open(struct app *app);
void submits_close(struct submits *self); /* silent; may be NULL */

/* rows and row: the order's columns of generation_submit, its events have
 * been published; or err, as in pg.h. */
typedef void submit_fn(
    const struct pg_rows *rows, int row, const struct err *err, void *arg);

/* order: the members of submit_item in sql/functions/04_submit.sql but for n,
 * alone, wait_ms, pass and async. Stores the work in *slot; fn runs once,
 * later. */
void submits_add(struct submits *self, const struct json_object *order,
    struct submit **slot, submit_fn *fn, void *arg);
/* fn never runs; what was sent may still be done.  *slot may be NULL. */
void submits_cancel(struct submit **slot);

#endif
