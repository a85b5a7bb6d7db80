/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the lease table against a puppet driver
 *
 * The puppet notes every call in a line of text ("+name" acquired, "-name"
 * released) and answers as it is told: so order, roll-back and drivers that
 * answer later can be seen exactly.
 */
#include "../../libsupervise/qmp.h"
#include "../../supervisor/lease.h"
#include "tap.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

typedef struct {
    LeaseTable *table;
    GString *calls;
    char *busy;       /* the resource that is refused; NULL: none */
    gboolean later;   /* answer PENDING */
    guint last_id;    /* what PENDING was answered for */
    guint refusals;   /* how often busy was said */
    guint free_after; /* then it is free; 0: never */
    GString *events;  /* what the table said */
    GMainLoop *loop;
} Puppet;

static DriverAnswer puppet_acquire(gpointer driver, DriverLease *lease,
                                   GError **error)
{
    Puppet *p = driver;

    if (p->busy && g_str_equal(p->busy, lease->resource->name) &&
        (!p->free_after || p->refusals < p->free_after)) {
        p->refusals++;
        lease->holder = json_pack("{s:s}", "name", "other");
        g_set_error(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY, "busy");
        return DRIVER_FAILED;
    }
    p->last_id = lease->id;
    if (p->later) {
        g_string_append_printf(p->calls, "?%s ", lease->resource->name);
        return DRIVER_PENDING;
    }
    g_string_append_printf(p->calls, "+%s ", lease->resource->name);
    return DRIVER_DONE;
}

static DriverAnswer puppet_release(gpointer driver, DriverLease *lease,
                                   GError **error)
{
    Puppet *p = driver;

    p->last_id = lease->id;
    g_string_append_printf(p->calls, "-%s ", lease->resource->name);
    return p->later ? DRIVER_PENDING : DRIVER_DONE;
}

static const DriverOps puppet_ops = {
    .name = "puppet",
    .flags = DRIVER_HOTPLUG,
    .acquire = puppet_acquire,
    .release = puppet_release,
};

static void on_granted(gpointer opaque, LeaseSet set)
{
    Puppet *p = opaque;

    g_string_append(p->events, set == LEASE_SET_VM ? "vm " : "granted ");
    if (p->loop)
        g_main_loop_quit(p->loop);
}

static void on_denied(gpointer opaque, const GError *error, json_t *holder)
{
    Puppet *p = opaque;

    g_string_append_printf(
        p->events, "denied(%s) ",
        holder ? json_string_value(json_object_get(holder, "name")) : "-");
}

static void on_lost(gpointer opaque, Lease *lease, const char *why)
{
    Puppet *p = opaque;

    g_string_append_printf(p->events, "lost(%s:%s) ",
                           lease_resource(lease)->name, why);
}

static void on_warning(gpointer opaque, Lease *lease, MessageKind kind,
                       const char *sentence)
{
    Puppet *p = opaque;

    g_string_append_printf(p->events, "warning(%s) ", sentence);
}

static void on_released(gpointer opaque, LeaseSet set)
{
    Puppet *p = opaque;

    g_string_append(p->events,
                    set == LEASE_SET_VM ? "vm-released " : "released ");
}

static const LeaseEvents events = {.granted = on_granted,
                                   .denied = on_denied,
                                   .warning = on_warning,
                                   .lost = on_lost,
                                   .released = on_released};

static void set_up(Puppet *p, gconstpointer data)
{
    p->calls = g_string_new(NULL);
    p->events = g_string_new(NULL);
    p->table = lease_table_new(&events, p);
}

static void tear_down(Puppet *p, gconstpointer data)
{
    lease_table_free(p->table);
    g_string_free(p->calls, TRUE);
    g_string_free(p->events, TRUE);
}

static Lease *add(Puppet *p, const char *text)
{
    g_autoptr(GError) error = NULL;
    Lease *lease = lease_table_add(
        p->table, &puppet_ops, p, resource_parse_lease(text, NULL), -1, &error);

    g_assert_no_error(error);
    return lease;
}

static void expect(GString *got, const char *wanted)
{
    g_assert_cmpstr(got->str, ==, wanted);
    g_string_truncate(got, 0);
}

static void all_in_order(Puppet *p, gconstpointer data)
{
    add(p, "z:3");
    add(p, "a:1");
    add(p, "b:2");
    g_assert_nonnull(lease_table_add(p->table, &puppet_ops, p,
                                     resource_new_vm("uuid"), -1, NULL));
    lease_table_acquire(p->table, LEASE_SET_VM, FALSE);
    expect(p->calls, "+uuid ");
    lease_table_acquire(p->table, LEASE_SET_OTHERS, FALSE);
    expect(p->calls, "+a:1 +b:2 +z:3 ");
    expect(p->events, "vm granted ");
    g_assert_cmpuint(lease_table_count(p->table), ==, 3);
    lease_table_release(p->table, LEASE_SET_OTHERS);
    lease_table_release(p->table, LEASE_SET_VM);
    expect(p->calls, "-z:3 -b:2 -a:1 -uuid ");
    expect(p->events, "released vm-released ");
}

static void none_where_one_is_busy(Puppet *p, gconstpointer data)
{
    add(p, "a:1");
    add(p, "b:2");
    add(p, "c:3");
    p->busy = (char *)"c:3";
    lease_table_acquire(p->table, LEASE_SET_OTHERS, FALSE);
    expect(p->calls, "+a:1 +b:2 -b:2 -a:1 ");
    expect(p->events, "denied(other) ");
    g_assert_error(lease_table_error(p->table), QMP_ERROR,
                   QMP_ERROR_LEASE_BUSY);
}

static void waiting_drops_all_between_tries(Puppet *p, gconstpointer data)
{
    p->loop = g_main_loop_new(NULL, FALSE);
    p->busy = (char *)"b:2";
    p->free_after = 3;
    add(p, "a:1");
    add(p, "b:2");
    lease_table_acquire(p->table, LEASE_SET_OTHERS, TRUE);
    g_main_loop_run(p->loop);
    g_main_loop_unref(p->loop);
    p->loop = NULL;
    expect(p->calls, "+a:1 -a:1 +a:1 -a:1 +a:1 -a:1 +a:1 +b:2 ");
    expect(p->events, "warning(busy) granted "); /* who waits says it once */
}

static void release_ends_waiting(Puppet *p, gconstpointer data)
{
    p->busy = (char *)"a:1";
    add(p, "a:1");
    lease_table_acquire(p->table, LEASE_SET_OTHERS, TRUE);
    lease_table_release(p->table, LEASE_SET_OTHERS);
    expect(p->calls, "");
    expect(p->events, "warning(busy) released ");
    g_assert_false(g_main_context_pending(NULL));
}

static void drivers_that_answer_later(Puppet *p, gconstpointer data)
{
    p->later = TRUE;
    add(p, "a:1");
    add(p, "b:2");
    lease_table_acquire(p->table, LEASE_SET_OTHERS, FALSE);
    expect(p->calls, "?a:1 ");
    lease_driver_events.done(p->table, p->last_id, NULL);
    expect(p->calls, "?b:2 ");
    expect(p->events, "");
    lease_driver_events.done(p->table, p->last_id, NULL);
    expect(p->events, "granted ");
    lease_table_release(p->table, LEASE_SET_OTHERS);
    expect(p->calls, "-b:2 -a:1 "); /* neither waits for the other */
    lease_driver_events.done(p->table, p->last_id, NULL);
    expect(p->events, "");
    lease_driver_events.done(p->table, p->last_id + 1, NULL);
    expect(p->events, "released ");
}

static void a_late_refusal_rolls_back(Puppet *p, gconstpointer data)
{
    g_autoptr(GError) error =
        g_error_new(QMP_ERROR, QMP_ERROR_LEASE_BUSY, "busy");

    p->later = TRUE;
    add(p, "a:1");
    add(p, "b:2");
    lease_table_acquire(p->table, LEASE_SET_OTHERS, FALSE);
    lease_driver_events.done(p->table, p->last_id, NULL);
    p->later = FALSE;
    lease_driver_events.done(p->table, p->last_id, error);
    expect(p->calls, "?a:1 ?b:2 -a:1 ");
    expect(p->events, "denied(-) ");
}

/* The driver grants what nobody wants any more: it must be given back. */
static void released_while_pending(Puppet *p, gconstpointer data)
{
    p->later = TRUE;
    add(p, "a:1");
    lease_table_acquire(p->table, LEASE_SET_OTHERS, FALSE);
    lease_table_release(p->table, LEASE_SET_OTHERS);
    expect(p->events, "");
    p->later = FALSE;
    lease_driver_events.done(p->table, p->last_id, NULL);
    expect(p->calls, "?a:1 -a:1 ");
    expect(p->events, "released ");
}

static void note_reply(gpointer data, Lease *lease, const GError *error,
                       json_t *holder)
{
    g_string_append_printf(((Puppet *)data)->events, "reply(%s%s) ",
                           error ? error->message : "ok", lease ? "" : ",gone");
}

static void one_more_and_one_less(Puppet *p, gconstpointer data)
{
    Lease *lease = add(p, "a:1");

    lease_acquire(p->table, lease, note_reply, p);
    g_assert_cmpint(lease_status(lease), ==, LEASE_HELD);
    p->busy = (char *)"b:2";
    lease_acquire(p->table, add(p, "b:2"), note_reply, p);
    expect(p->events, "reply(ok) reply(busy,gone) ");
    g_assert_cmpuint(lease_table_count(p->table), ==, 1);
    lease_release(p->table, lease, note_reply, p);
    expect(p->events, "reply(ok,gone) ");
    g_assert_cmpuint(lease_table_count(p->table), ==, 0);
}

/* The child died while a hot-plugged lease was on its way. */
static void end_while_one_more_is_pending(Puppet *p, gconstpointer data)
{
    p->later = TRUE;
    lease_acquire(p->table, add(p, "a:1"), note_reply, p);
    lease_table_release(p->table, LEASE_SET_OTHERS);
    expect(p->events, "");
    p->later = FALSE;
    lease_driver_events.done(p->table, p->last_id, NULL);
    expect(p->calls, "?a:1 -a:1 ");
    expect(p->events, "reply(ok) released ");
}

static void a_lost_lease_is_told_once(Puppet *p, gconstpointer data)
{
    Lease *lease = add(p, "a:1");

    lease_table_acquire(p->table, LEASE_SET_OTHERS, FALSE);
    lease_driver_events.lost(p->table, p->last_id, 0, "gone");
    lease_driver_events.lost(p->table, p->last_id, 0, "gone");
    expect(p->events, "granted lost(a:1:gone) ");
    g_assert_cmpint(lease_status(lease), ==, LEASE_LOST);
}

static char *make_file(const char *directory, const char *name)
{
    char *path = g_build_filename(directory, name, NULL);

    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
    return path;
}

static void refused(Puppet *p, const char *path, const char *because)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(lease_table_add(
        p->table, &puppet_ops, p,
        resource_new_disk(path, RESOURCE_EXCLUSIVE, NULL), -1, &error));
    g_assert_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT);
    g_assert_nonnull(strstr(error->message, because));
}

static void what_cannot_be_leased(Puppet *p, gconstpointer data)
{
    g_autofree char *directory = g_dir_make_tmp("lease-XXXXXX", NULL);
    g_autofree char *file = make_file(directory, "a");
    g_autofree char *link_name = g_build_filename(directory, "b", NULL);
    g_autofree char *symlink_name = g_build_filename(directory, "c", NULL);

    g_assert_nonnull(lease_table_add(
        p->table, &puppet_ops, p,
        resource_new_disk(file, RESOURCE_EXCLUSIVE, NULL), -1, NULL));
    g_assert_cmpint(link(file, link_name), ==, 0);
    g_assert_cmpint(symlink(file, symlink_name), ==, 0);
    refused(p, file, "given twice");
    refused(p, link_name, "same file");
    refused(p, symlink_name, "same file");
    refused(p, directory, "directory");
    refused(p, "/dev/null", "neither");
    refused(p, "/no/such/file", "No such file");
    g_assert_cmpuint(lease_table_count(p->table), ==, 1);
    g_unlink(symlink_name);
    g_unlink(link_name);
    g_unlink(file);
    g_rmdir(directory);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(f) g_test_add("/lease/" #f, Puppet, NULL, set_up, f, tear_down)
    ADD(all_in_order);
    ADD(none_where_one_is_busy);
    ADD(waiting_drops_all_between_tries);
    ADD(release_ends_waiting);
    ADD(drivers_that_answer_later);
    ADD(a_late_refusal_rolls_back);
    ADD(released_while_pending);
    ADD(one_more_and_one_less);
    ADD(end_while_one_more_is_pending);
    ADD(a_lost_lease_is_told_once);
    ADD(what_cannot_be_leased);
    return g_test_run();
}
