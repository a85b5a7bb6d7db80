/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: see disks.h. */
#include "disks.h"

#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "../libsupervise/qmp.h"
#include "../libsupervise/resource.h"
#include "beside.h"

#define PROGRAM "virt-lock-disks"

static gboolean is_garbled(GError **error, const char *line)
{
    g_autofree char *shown = g_utf8_make_valid(line, MIN(strlen(line), 80));

    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                "cannot understand '%s' of '" PROGRAM "': is it of another "
                "version?",
                shown);
    return FALSE;
}

/* --- what was found ------------------------------------------------------- */

/* The same file or device, however it is spelled; or the same name. */
static gboolean is_same(const Resource *a, const Resource *b)
{
    struct stat x, y;

    if (g_str_equal(a->name, b->name))
        return a->kind == b->kind;
    if (!a->path || !b->path || a->offset != b->offset ||
        stat(a->path, &x) < 0 || stat(b->path, &y) < 0)
        return FALSE;
    if (S_ISBLK(x.st_mode))
        return S_ISBLK(y.st_mode) && x.st_rdev == y.st_rdev;
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Takes @resource over. What is given already stands as it is given. */
static gboolean add(Options *options, Resource *resource)
{
    if (!resource)
        return FALSE;
    for (guint i = 0; i < options->resources->len; i++) {
        if (is_same(options->resources->pdata[i], resource)) {
            resource_free(resource);
            return TRUE;
        }
    }
    g_ptr_array_add(options->resources, resource);
    return TRUE;
}

static void note(Options *options, MessageKind kind, char *sentence)
{
    OptionsNote *added = g_new(OptionsNote, 1);

    added->kind = kind;
    added->sentence = sentence;
    g_ptr_array_add(options->notes, added);
}

static gboolean read_mode(const json_t *line, ResourceMode *mode,
                          GError **error)
{
    const char *name = json_string_value(json_object_get(line, "mode"));

    return resource_mode_parse(name ? name : "", mode, error);
}

static gboolean on_vm(Options *options, const json_t *line, GError **error)
{
    const char *name = json_string_value(json_object_get(line, "name"));
    const char *uuid = json_string_value(json_object_get(line, "uuid"));

    if (name && !options->name_given && !options_set_name(options, name, error))
        return FALSE;
    options->incoming |= json_is_true(json_object_get(line, "incoming"));
    return !uuid || options->uuid_given ||
           options_set_uuid(options, uuid, error);
}

static gboolean on_disk(Options *options, const json_t *line, GError **error)
{
    const char *path = json_string_value(json_object_get(line, "path"));
    ResourceMode mode;

    return read_mode(line, &mode, error) &&
           add(options, resource_new_disk(path ? path : "", mode, error));
}

static gboolean on_lease(Options *options, const json_t *line, GError **error)
{
    const char *space = json_string_value(json_object_get(line, "lockspace"));
    const char *key = json_string_value(json_object_get(line, "key"));
    ResourceMode mode;

    return read_mode(line, &mode, error) &&
           add(options, resource_new_lease(space ? space : "", key ? key : "",
                                           mode, error));
}

/* What is only read is no danger to others. */
static gboolean on_uncovered(Options *options, const json_t *line,
                             GError **error)
{
    const char *what, *reason;
    ResourceMode mode;

    if (json_unpack((json_t *)line, "{s:s, s:s}", "what", &what, "reason",
                    &reason) < 0 ||
        !read_mode(line, &mode, error))
        return FALSE;
    note(options,
         mode == RESOURCE_READONLY ? MESSAGE_UNCOVERED_READ : MESSAGE_UNCOVERED,
         g_strdup_printf(strchr(what, '\'') ? "the %s is not leased: %s"
                                            : "'%s' is not leased: %s",
                         what, reason));
    return TRUE;
}

static gboolean on_warning(Options *options, const json_t *line, GError **error)
{
    const char *text = json_string_value(json_object_get(line, "text"));

    if (!text)
        return FALSE;
    note(options, MESSAGE_COMMAND_DOUBTFUL, g_strdup(text));
    return TRUE;
}

static gboolean read_line(Options *options, const char *text, GError **error)
{
    static const struct {
        const char *kind;
        gboolean (*read)(Options *options, const json_t *line, GError **error);
    } kinds[] = {
        {"vm", on_vm},           {"disk", on_disk},
        {"lease", on_lease},     {"uncovered", on_uncovered},
        {"warning", on_warning},
    };
    g_autoptr(json_t) line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const char *kind = json_string_value(json_object_get(line, "kind"));

    for (guint i = 0; kind && i < G_N_ELEMENTS(kinds); i++) {
        GError *why = NULL;

        if (!g_str_equal(kind, kinds[i].kind))
            continue;
        if (kinds[i].read(options, line, &why))
            return TRUE;
        if (!why)
            break;
        g_propagate_error(error, why);
        return FALSE;
    }
    return is_garbled(error, text);
}

gboolean disks_read(Options *options, const char *text, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        if (**line && !read_line(options, *line, error))
            return FALSE;
    }
    return TRUE;
}

/* --- asking --------------------------------------------------------------- */

/* Its own sentence, without its name before it. */
static void pass_on(GError **error, char *said)
{
    const char *sentence = g_strstrip(said);

    if (g_str_has_prefix(sentence, PROGRAM ": "))
        sentence += strlen(PROGRAM ": ");
    g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC, "%s",
                *sentence ? sentence
                          : "cannot run '" PROGRAM "': it ended badly, and "
                            "said nothing");
}

/* Where SIGCHLD is ignored the kernel forgets how a child has ended. */
static gboolean spawn(const char *directory, char **argv, char **out,
                      char **err, int *status, GError **error)
{
    struct sigaction normal = {.sa_handler = SIG_DFL}, old;
    g_autoptr(GError) why = NULL;
    gboolean done;

    sigaction(SIGCHLD, &normal, &old);
    done = g_spawn_sync(directory, argv, NULL,
                        G_SPAWN_LEAVE_DESCRIPTORS_OPEN |
                            G_SPAWN_CHILD_INHERITS_STDIN,
                        NULL, NULL, out, err, status, &why);
    sigaction(SIGCHLD, &old, NULL);
    if (!done)
        g_set_error(error, QMP_ERROR, QMP_ERROR_GENERIC,
                    "cannot run '%s': %s (name the disks with --disk)", argv[0],
                    why->message);
    return done;
}

void disks_find(Options *options)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autofree char *program = beside_find(
        PROGRAM, "../bin", "name the disks with --disk", &options->failure);
    g_autofree char *out = NULL, *err = NULL, *words = NULL, *directory = NULL;
    int status;

    if (!program)
        return;
    g_ptr_array_add(argv, program);
    g_ptr_array_add(argv, (char *)"--");
    if (options->attach) {
        directory = g_strdup_printf("/proc/%d/cwd", options->attach_pid);
        words = g_strdup_printf("@/proc/%d/cmdline", options->attach_pid);
        g_ptr_array_add(argv, words);
    }
    for (char **word = options->command; word && *word; word++)
        g_ptr_array_add(argv, *word);
    g_ptr_array_add(argv, NULL);
    if (!spawn(directory, (char **)argv->pdata, &out, &err, &status,
               &options->failure))
        return;
    if (g_spawn_check_wait_status(status, NULL))
        disks_read(options, out, &options->failure);
    else
        pass_on(&options->failure, err);
}
