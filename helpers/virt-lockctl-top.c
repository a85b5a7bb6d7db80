/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what VMs use
 *
 * A VM's child and its supervisor, as /proc tells of them; a number is read
 * only where it is still the supervisor's child. What cannot be read is left
 * out: a dash, or no member in JSON.
 */
#include <string.h>
#include <unistd.h>

#include "virt-lockctl-proc.h"
#include "virt-lockctl-screen.h"
#include "virt-lockctl-view.h"

/* What a child had run for when it was looked at last. */
typedef struct {
    guint64 start_time;
    guint64 cpu; /* clock ticks */
    gint64 when; /* CLOCK_BOOTTIME, microseconds */
} Sample;

typedef struct {
    GHashTable *samples; /* of uuid -> Sample */
} Top;

static gint64 since_boot(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

/* In percent of one CPU: since the last look, or else since its start. */
static double cpu_of(Top *top, const char *uuid, const ProcessStat *stat)
{
    gint64 ticks = sysconf(_SC_CLK_TCK);
    Sample *now = g_new(Sample, 1);
    const Sample *before = g_hash_table_lookup(top->samples, uuid);
    Sample first = {stat->start_time, 0,
                    (gint64)stat->start_time * G_USEC_PER_SEC / ticks};
    double used, time;

    *now = (Sample){stat->start_time, stat->cpu, since_boot()};
    if (!before || before->start_time != stat->start_time)
        before = &first;
    used = (double)(now->cpu - before->cpu) / (double)ticks;
    time = (double)(now->when - before->when) / G_USEC_PER_SEC;
    g_hash_table_replace(top->samples, g_strdup(uuid), now);
    return time > 0 ? 100 * used / time : 0;
}

static void set_pss(json_t *row, const char *member, pid_t pid)
{
    gint64 pss = process_pss(pid);

    if (pss >= 0)
        json_object_set_new(row, member, json_integer(pss));
}

static json_t *make_row(Top *top, const json_t *status)
{
    static const char *const copied[] = {"name", "uuid", "state", "leases",
                                         "child-pid"};
    const char *uuid = json_string_value(json_object_get(status, "uuid"));
    pid_t pid = (pid_t)json_integer_value(json_object_get(status, "pid"));
    pid_t child =
        (pid_t)json_integer_value(json_object_get(status, "child-pid"));
    gint64 since = json_integer_value(json_object_get(status, "since"));
    gint64 age = g_get_real_time() / G_USEC_PER_SEC - since;
    json_t *row = json_object();
    ProcessStat stat;

    for (gsize i = 0; i < G_N_ELEMENTS(copied); i++)
        json_object_set(row, copied[i], json_object_get(status, copied[i]));
    json_object_set_new(row, "age", json_integer(MAX(age, 0)));
    if (!child || !process_stat(child, &stat) || stat.parent != pid)
        return row;
    set_pss(row, "pss", child);
    set_pss(row, "supervisor-pss", pid);
    if (uuid)
        json_object_set_new(row, "cpu", json_real(cpu_of(top, uuid, &stat)));
    return row;
}

/* The largest first; stable, so that equal ones stay sorted by name. */
static int by_pss(gconstpointer a, gconstpointer b)
{
    const json_t *one = *(const json_t *const *)a;
    const json_t *two = *(const json_t *const *)b;
    json_int_t mine = json_integer_value(json_object_get(one, "pss"));
    json_int_t others = json_integer_value(json_object_get(two, "pss"));

    return mine < others ? 1 : mine > others ? -1 : 0;
}

/* "1.5G", "38.2M", "110K" */
static void set_size(json_t *row, const char *member)
{
    static const char units[] = "KMGTP";
    const json_t *value = json_object_get(row, member);
    double size = (double)json_integer_value(value) / 1024;
    g_autofree char *text = NULL;
    guint unit = 0;

    for (; size >= 1024 && units[unit + 1]; unit++)
        size /= 1024;
    text = g_strdup_printf(unit ? "%.1f%c" : "%.0f%c", size, units[unit]);
    if (value)
        json_object_set_new(row, member, json_string(text));
}

/* Numbers as people read them, in place. */
static void humanize(json_t *row)
{
    const json_t *cpu = json_object_get(row, "cpu");
    g_autofree char *age =
        short_age(json_integer_value(json_object_get(row, "age")));
    g_autofree char *percent = g_strdup_printf("%.1f", json_real_value(cpu));

    json_object_set_new(row, "age", json_string(age));
    if (cpu)
        json_object_set_new(row, "cpu", json_string(percent));
    set_size(row, "pss");
    set_size(row, "supervisor-pss");
}

static void free_json(gpointer value)
{
    json_decref(value);
}

static void print_top(FILE *out, GPtrArray *statuses, const Request *request,
                      gpointer data, guint room)
{
    static const char *const header[] = {"NAME",    "STATE", "AGE",
                                         "LEASES",  "CHILD", "PSS",
                                         "SUP-PSS", "CPU%",  NULL};
    static const char *const fields[] = {"name",           "state",     "age",
                                         "leases",         "child-pid", "pss",
                                         "supervisor-pss", "cpu",       NULL};
    static const char *const notes[] = {NULL};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(free_json);

    for (guint i = 0; i < statuses->len; i++)
        g_ptr_array_add(rows, make_row(data, statuses->pdata[i]));
    g_ptr_array_sort(rows, by_pss);
    if (request->json) {
        dump_objects(out, rows, FALSE);
        return;
    }
    g_ptr_array_foreach(rows, (GFunc)(void (*)(void))humanize, NULL);
    print_objects(out, rows, header, fields, notes, room);
}

gboolean command_top(const Request *request, GError **error)
{
    Top top = {g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free)};
    gboolean done =
        !request->json && screen_is_possible()
            ? view_run(request, request->interval_ms, print_top, &top, error)
            : view_once(request, print_top, &top, error);

    g_hash_table_unref(top.samples);
    return done;
}
