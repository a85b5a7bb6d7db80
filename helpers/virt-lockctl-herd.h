/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: all supervisors of a run directory, also those that come
 *
 * A connection to each of them, whose events are read, and where it is to be
 * followed a watch (inotify) on the run directory, or while that is not there
 * on what it will be made in. Nothing wakes us while nothing happens.
 *
 *   herd_new -> herd_update -> loop: herd_wait, herd_update -> herd_free
 *
 * Should:  follow a VM that is started anew under its uuid; leave out, but
 *          tell of, a supervisor that does not answer, until it does.
 * Mustn't: connect again and again to one that does not want us; wait for one
 *          while others speak.
 */
#ifndef VIRT_LOCKCTL_HERD_H
#define VIRT_LOCKCTL_HERD_H

#include <glib.h>
#include <jansson.h>
#include <poll.h>

#include "client.h"
#include "virt-lockctl.h"

typedef struct {
    Client *client;
    json_t *status; /* as it was when it was asked last */
    char *name;     /* printable, both */
    char *uuid;
    gboolean silent; /* it does not answer herd_ask() */
} Member;

typedef enum {
    MEMBER_CAME,
    MEMBER_EVENT, /* with the event; it may be kept and changed */
    MEMBER_WENT,
} MemberNews;

typedef void HerdVisit(const Member *member, MemberNews news, json_t *event,
                       gpointer data);

typedef struct Herd Herd;

/*
 * herd_new:
 * @vm: one VM only, by its name or uuid; or NULL
 * @follow: those that start later are members too
 *
 * NULL and @error where the directory cannot be watched, or without @follow
 * @vm is not there. The herd is still empty: herd_update() fills it.
 */
Herd *herd_new(const char *run_dir, const char *vm, gboolean follow,
               int call_ms, GError **error);
void herd_free(Herd *herd);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Herd, herd_free)

/*
 * herd_wait:
 * @more, @n_more: what else to wait for; their revents are set
 * @timeout_ms: -1: as long as it takes
 *
 * Waits until there is something to do, and not a moment longer. FALSE where
 * nobody reads what we print any more, or with @error.
 */
gboolean herd_wait(Herd *herd, struct pollfd *more, guint n_more,
                   int timeout_ms, GError **error);

/* Reads what has come and tells of it, one by one; never waits for events.
 * TRUE where there was anything. */
gboolean herd_update(Herd *herd, HerdVisit *visit, gpointer data);

/* Asks those again of whom an event has come since; herd_update() reads the
 * answers. */
void herd_ask(Herd *herd);
/* FALSE for the moment in which answers are awaited: a picture that is made
 * now will be another one soon. */
gboolean herd_is_settled(const Herd *herd);

guint herd_count(const Herd *herd);
const Member *herd_member(const Herd *herd, guint i);
/* Why the run directory cannot be looked at, which herd_wait() fails with;
 * NULL where it can. */
const GError *herd_lost(const Herd *herd);
/* TRUE while there are members, or somebody has still time to become one. */
gboolean herd_is_alive(const Herd *herd);
/* "cannot ask N of M supervisors: ...", with its hint, newly allocated; NULL
 * where all could be asked. */
char *herd_silence(const Herd *herd, const Request *request);
/*
 * herd_tell_silence:
 * @told: who was silent the last time; NULL at first. g_free() it in the end
 *
 * Says it on standard error where others are silent now. TRUE if any are.
 */
gboolean herd_tell_silence(const Herd *herd, const Request *request,
                           char **told);

#endif
