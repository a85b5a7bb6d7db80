/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: where the two directories are
 *
 * Both are found the same way; a table row per directory says what differs.
 * Nothing is created or looked at here.
 */
#include "places.h"

#include "qmp.h"

#include <unistd.h>

typedef struct {
    const char *what;       /* for the error */
    const char *variable;   /* ours */
    const char *root;       /* for uid 0 */
    const char *xdg;        /* for everyone else */
    const char *below_home; /* where xdg is unset, or NULL */
    const char *unset;      /* what there is none of, a clause */
} Place;

static const Place run_place = {
    .what = "run directory",
    .variable = "VIRT_LOCK_RUN_DIR",
    .root = "/run",
    .xdg = "XDG_RUNTIME_DIR",
    .unset = "neither VIRT_LOCK_RUN_DIR nor XDG_RUNTIME_DIR is set",
};

static const Place state_place = {
    .what = "state directory",
    .variable = "VIRT_LOCK_STATE_DIR",
    .root = "/var/lib",
    .xdg = "XDG_STATE_HOME",
    .below_home = ".local/state",
    .unset = "none of VIRT_LOCK_STATE_DIR, XDG_STATE_HOME and HOME is set",
};

#define SUBDIRECTORY "virt-lock-supervisor"

/* Returns the variable's value; NULL where it is unset or empty. */
static const char *variable(const char *name)
{
    const char *value = g_getenv(name);

    return value && *value ? value : NULL;
}

static char *find_place(const Place *place, const char *argument,
                        GError **error)
{
    const char *given = argument ? argument : variable(place->variable);
    const char *base, *home;

    if (given && *given)
        return g_canonicalize_filename(given, NULL);
    if (!given) {
        if (geteuid() == 0)
            return g_build_filename(place->root, SUBDIRECTORY, NULL);
        base = variable(place->xdg);
        if (base && g_path_is_absolute(base))
            return g_build_filename(base, SUBDIRECTORY, NULL);
        home = place->below_home ? g_get_home_dir() : "";
        if (g_path_is_absolute(home))
            return g_build_filename(home, place->below_home, SUBDIRECTORY,
                                    NULL);
    }
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot find the %s: %s", place->what,
                given ? "the name is empty" : place->unset);
    return NULL;
}

char *places_run_dir(const char *argument, GError **error)
{
    return find_place(&run_place, argument, error);
}

char *places_state_dir(const char *argument, GError **error)
{
    return find_place(&state_place, argument, error);
}

char *places_socket(const char *run_dir, const char *uuid)
{
    return g_strdup_printf("%s/%s.sock", run_dir, uuid);
}

char *places_uuid(const char *text, GError **error)
{
    if (text && g_uuid_string_is_valid(text))
        return g_ascii_strdown(text, -1);
    g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                "cannot use '%s' as a uuid: it is not of the form "
                "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                text ? text : "");
    return NULL;
}
