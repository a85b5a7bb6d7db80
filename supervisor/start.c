/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: setting up, and the child's start
 *
 * start_prepare() looks at everything that can be wrong before anything is
 * made: names, descriptors, disks, then directories. What it makes is undone
 * by end_undo(), also where it fails halfway. start_child() keeps the order
 * that the safety of the child hangs on: park it, and only then confine
 * ourselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../libsupervise/places.h"
#include "../libsupervise/qmp.h"
#include "confine.h"
#include "supervisor_internal.h"
#include "unleased.h"
#include "verbs.h"

/* A VMM has opened its images by then. */
#define LOOK_SECONDS 2

/* Makes descriptor @fd ours alone: the child must not get it, but may well
 * get standard output. */
static gboolean claim_fd(int *fd, const char *option, GError **error)
{
    int given = *fd;
    int flags = given < 0 ? 0 : fcntl(given, F_GETFL);

    if (given < 0)
        return TRUE;
    *fd = -1;
    /* Nothing can be written to it; or it was not open when we were started,
     * and is one of our own by now. */
    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY ||
        fcntl(given, F_GETFD) & FD_CLOEXEC)
        errno = EBADF;
    else
        *fd = fcntl(given, F_DUPFD_CLOEXEC, 3);
    if (*fd < 0)
        return set_errno(error, "cannot use '%s %d'", option, given);
    if (given > 2)
        close(given);
    return TRUE;
}

/* A directory that is there afterwards, and ours. */
static gboolean make_directory(const char *what, const char *path,
                               GError **error)
{
    struct stat st;
    const char *reason = NULL;

    if (g_mkdir_with_parents(path, 0755) < 0 || stat(path, &st) < 0)
        reason = g_strerror(errno);
    else if (!S_ISDIR(st.st_mode))
        reason = "it is not a directory";
    else if (st.st_uid != geteuid())
        reason = "it belongs to somebody else";
    else if (st.st_mode & S_IWOTH)
        reason = "everybody may write to it";
    if (!reason)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot use %s directory '%s': %s", what, path, reason);
    return FALSE;
}

static gboolean find_places(Supervisor *s, GError **error)
{
    s->run_dir = places_run_dir(s->options->run_dir, error);
    if (!s->run_dir)
        return FALSE;
    s->state_dir = places_state_dir(s->options->state_dir, error);
    if (!s->state_dir)
        return FALSE;
    s->socket_path = places_socket(s->run_dir, s->options->uuid);
    if (strlen(s->socket_path) < sizeof((struct sockaddr_un *)0)->sun_path)
        return TRUE;
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot use run directory '%s': the path of the socket in it "
                "would be too long",
                s->run_dir);
    return FALSE;
}

static void know_ourselves(Supervisor *s)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    g_autofree char *host = NULL;

    gethostname(s->host, sizeof s->host - 1);
    host = g_utf8_make_valid(s->host, -1); /* it goes into messages */
    g_strlcpy(s->host, host, sizeof s->host);
    if (fd >= 0) {
        if (read(fd, s->boot_id, sizeof s->boot_id - 1) > 0)
            g_strchomp(s->boot_id);
        close(fd);
    }
    fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    s->session_leader = getsid(0) == getpid();
    s->job_control = fd >= 0;
    if (fd >= 0)
        close(fd);
    s->since = g_get_real_time() / G_USEC_PER_SEC;
    s->state_since = s->since;
    s->owner = (Record){
        .uuid = s->options->uuid,
        .name = s->options->name,
        .host = s->host,
        .boot_id = s->boot_id,
        .pid = getpid(),
        .start_time = record_start_time(getpid()),
        .since = s->since,
        .nonce = s->handover.nonce,
    };
    handover_new_nonce(s);
}

static const DriverOps *find_driver(const char *name)
{
    static const DriverOps *const drivers[] = {&driver_file, &driver_nop};

    for (guint i = 0; i < G_N_ELEMENTS(drivers); i++) {
        if (g_str_equal(drivers[i]->name, name))
            return drivers[i];
    }
    return NULL;
}

static gboolean open_drivers(Supervisor *s, GError **error)
{
    static char *no_params[] = {NULL};

    s->ops = find_driver(s->options->driver);
    if (!s->ops) {
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use driver '%s': there is no such driver",
                    s->options->driver);
        return FALSE;
    }
    s->context = (DriverContext){
        .state_dir = s->state_dir,
        .params = s->options->params,
        .owner = &s->owner,
        .events = &lease_driver_events,
        .opaque = s->leases,
        .is_childs = s->options->attach ? start_is_childs : NULL,
    };
    s->driver = s->ops->open(&s->context, error);
    if (!s->driver)
        return FALSE;
    s->file_driver = s->driver;
    if (s->ops == &driver_file)
        return TRUE;
    s->file_context = s->context;
    s->file_context.params = no_params;
    s->file_driver = driver_file.open(&s->file_context, error);
    return s->file_driver != NULL;
}

/* Whatever the driver, the VM's own lease is a lock on this host: it also
 * guards the control socket. */
static gboolean register_leases(Supervisor *s, GError **error)
{
    GPtrArray *resources = s->options->resources;

    if (!lease_table_add(s->leases, &driver_file, s->file_driver,
                         resource_new_vm(s->options->uuid), -1, error))
        return FALSE;
    for (guint i = 0; i < resources->len; i++) {
        if (!lease_table_add(s->leases, s->ops, s->driver,
                             resource_copy(g_ptr_array_index(resources, i)), -1,
                             error))
            return FALSE;
    }
    return TRUE;
}

/* The finished pid file replaces what has its name. */
static gboolean check_pid_file(Supervisor *s, GError **error)
{
    const char *path = s->options->pid_file;
    GPtrArray *resources = s->options->resources;
    struct stat file, disk;

    if (!path || stat(path, &file) < 0)
        return TRUE;
    for (guint i = 0; i < resources->len; i++) {
        const Resource *resource = g_ptr_array_index(resources, i);

        if (!resource->path || stat(resource->path, &disk) < 0 ||
            disk.st_dev != file.st_dev || disk.st_ino != file.st_ino)
            continue;
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot use pid file '%s': it is leased as '%s'", path,
                    resource->name);
        return FALSE;
    }
    return TRUE;
}

static gboolean open_report(Supervisor *s, GError **error)
{
    ReportSpec spec = {
        .pid_fd = s->pid_fd,
        .json_status_fd = s->json_status_fd,
        .pid_file = s->options->pid_file,
        .name = s->options->name,
        .uuid = s->options->uuid,
        .level = s->options->log_level,
        .target = s->options->log_target,
    };

    s->report = report_new(&spec, error);
    return s->report != NULL;
}

/* What was found before there was a log. */
static gboolean say_notes(Supervisor *s, GError **error)
{
    const GPtrArray *notes = s->options->notes;

    if (s->options->failure) {
        g_propagate_error(error, g_error_copy(s->options->failure));
        return FALSE;
    }
    for (guint i = 0; i < notes->len; i++) {
        const OptionsNote *note = notes->pdata[i];

        report_log(s->report, note->kind, NULL, "%s", note->sentence);
    }
    return TRUE;
}

gboolean start_prepare(Supervisor *s, GError **error)
{
    const Options *o = s->options;

    s->pid_fd = o->pid_fd;
    s->json_status_fd = o->json_status_fd;
    s->stop_timeout_ms = o->stop_timeout_ms;
    s->old_umask = umask(022);
    s->leases = lease_table_new(&supervisor_lease_events, s);
    if (!claim_fd(&s->pid_fd, "--pid-fd", error) ||
        !claim_fd(&s->json_status_fd, "--json-status-fd", error) ||
        !check_pid_file(s, error) || !open_report(s, error) ||
        !say_notes(s, error))
        return FALSE;
    if (o->user || o->group) {
        s->credentials = credentials_new(o->user, o->group, error);
        if (!s->credentials)
            return FALSE;
    }
    s->has_control_group = o->control_group != NULL;
    if (o->control_group &&
        !credentials_group(o->control_group, &s->control_group, error))
        return FALSE;
    if (!find_places(s, error))
        return FALSE;
    know_ourselves(s);
    if (!open_drivers(s, error) || !register_leases(s, error))
        return FALSE;
    if (!guard_begin(s, error))
        return FALSE;
    s->child = child_new(&supervisor_child_events, s, error);
    if (!s->child || (o->attach && !child_attach(s->child, o->attach_pid,
                                                 o->attach_pidfd, error)))
        return FALSE;
    child_set_guard(s->child, guard_session(s->guard));
    return make_directory("run", s->run_dir, error) &&
           make_directory("state", s->state_dir, error);
}

gboolean start_listen(Supervisor *s, GError **error)
{
    ControlSpec spec = {
        .path = s->socket_path,
        .has_group = s->has_control_group,
        .group = s->control_group,
        .group_rw = s->options->control_group_rw,
        .run = verbs_run,
        .opaque = s,
    };

    s->control = control_new(&spec, error);
    return s->control != NULL;
}

static void say_confinement(Supervisor *s)
{
    g_autoptr(GString) missing = g_string_new(NULL);

    for (guint i = 0; i < CONFINE_N_STEPS; i++) {
        if (!(s->confined & (1u << i)))
            g_string_append_printf(missing, " %s", confine_name(i));
    }
    if (missing->len)
        report_log(s->report, MESSAGE_CONFINED_WITHOUT, NULL,
                   "confined, but without:%s", missing->str);
}

/* What is left to be done is done without rights. */
void start_confine(Supervisor *s)
{
    confine_close_inherited();
    s->confined = confine_apply();
    say_confinement(s);
}

gboolean start_child(Supervisor *s, GError **error)
{
    ChildSpec spec = {
        .command = s->options->command,
        .mask = s->old_umask,
        .signals = s->signals,
    };

    lease_table_used(s->leases);
    start_inherited(s);
    spec.n_inherit = driver_file.inherit(s->file_driver, spec.inherit,
                                         G_N_ELEMENTS(spec.inherit));
    if (s->credentials) {
        spec.credentials = TRUE;
        spec.uid = s->credentials->uid;
        spec.gid = s->credentials->gid;
        spec.groups = s->credentials->groups;
        spec.n_groups = s->credentials->n_groups;
    }
    if (!child_park(s->child, &spec, error))
        return FALSE;
    guard_about_child(s);
    /* Nothing irreversible before the fork; from here on it may overlap with
     * the child's exec. */
    child_start(s->child);
    start_confine(s);
    return TRUE;
}

static gboolean look(gpointer data)
{
    Supervisor *s = data;
    g_autoptr(GPtrArray) sentences = NULL;
    gboolean sure;

    s->look = 0;
    if (s->handover.target) /* its images are not its own yet */
        return G_SOURCE_REMOVE;
    sentences = unleased_find(s->child, s->leases, &sure);
    for (guint i = 0; i < sentences->len; i++)
        report_log(s->report, MESSAGE_UNLEASED, NULL, "%s",
                   (char *)sentences->pdata[i]);
    if (!sure)
        report_log(s->report, MESSAGE_UNSEEN, NULL,
                   "cannot see all that the child has open; 'virt-lockctl "
                   "leases %s' of a root user can",
                   s->options->uuid);
    return G_SOURCE_REMOVE;
}

void start_look(Supervisor *s)
{
    if (s->look)
        g_source_remove(s->look);
    s->look = g_timeout_add_seconds(LOOK_SECONDS, look, s);
}
