/* metrics.h - lines of the Prometheus text format. */
#ifndef REELD_API_METRICS_H
#define REELD_API_METRICS_H

#include "api/internal.h"

/* "# HELP" and "# TYPE"; type: counter, gauge, histogram. */
void metric_head(
    struct buf *out, const char *name, const char *type, const char *help);
/* labels: "a=\"b\"" or "" */
void metric_int(
    struct buf *out, const char *name, const char *labels, int64_t value);
void
metric_num(struct buf *out, const char *name, const char *labels, double value);
/* Head and one value. */
void metric_one(struct buf *out, const char *name, const char *type,
    const char *help, double value);

/* metrics_http.c, metrics_process.c */
void metrics_http(struct buf *out, const struct app *app);
void metrics_process(struct buf *out);

#endif
