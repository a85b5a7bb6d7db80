/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../libsupervise/qmp.h"

enum { UNPLUG_TRIES = 4, DUEL_MS = 4 };

void remember(Slot *slot, const Run *run, int resource, End end, uint64_t last)
{
    const Hold *hold = &run->holds[resource];
    uint64_t born = run->memory->born;
    uint64_t first = run->granted ? MIN(run->granted, born) : born;
    Interval interval = {.first = hold->first ? hold->first : first,
                         .last = last,
                         .run = run->number,
                         .slot = (uint8_t)slot->number,
                         .resource = (uint8_t)resource,
                         .mode = (uint8_t)hold->mode,
                         .form = (uint8_t)run->form,
                         .end = (uint8_t)end};

    if (hold->mode && born && interval.last >= interval.first)
        history_add(slot->world->history, &interval);
}

/* Others see which disks are worth fighting for. */
static void publish(Slot *slot, const Run *run)
{
    uint32_t bits = 0;

    for (int i = 0; i < DISKS; i++) {
        if (run->holds[i].mode == MODE_EXCLUSIVE)
            bits |= 1U << i;
    }
    slot->world->exclusive[slot->number] = bits;
}

Reply tell(Slot *slot, Run *run, const Order *order)
{
    Reply reply;

    if (send(run->control, order, sizeof(*order), MSG_NOSIGNAL) < 0)
        fail(slot, run, "cannot give orders");
    await(slot, run, run->control, "the stamper's reply");
    if (recv(run->control, &reply, sizeof(reply), 0) != sizeof(reply))
        fail(slot, run, "the stamper is gone before its time");
    if (reply.error)
        fail(slot, run, "the stamper cannot open '%s': %s", order->path,
             g_strerror(reply.error));
    return reply;
}

/* Does nothing for at most @ms; a VM that ends meanwhile does so unasked. */
static void rest(Slot *slot, Run *run, int ms)
{
    struct pollfd fds[] = {{run->process, POLLIN, 0},
                           {run->stamper, POLLIN, 0},
                           {run->control, POLLIN, 0}};

    if (poll(fds, 3, ms) > 0)
        fail(slot, run, "the VM ended by itself:%s%s%s",
             fds[0].revents ? " supervisor" : "",
             fds[1].revents ? " child" : "", fds[2].revents ? " socket" : "");
}

/*
 * A duel: two managers ask for the same disk in the same instant, all but a
 * few microseconds. One of them waits for a rival (the word is the disk + 1);
 * who sees that accepts, and both go.
 */
#define ACCEPTED 0x100

static void wait_for_rival(Slot *slot, int disk)
{
    _Atomic uint32_t *duel = slot->world->duel;
    uint32_t nobody = 0, here = (uint32_t)disk + 1;
    uint64_t until = now_ns() + DUEL_MS * NS_PER_MS;

    if (!atomic_compare_exchange_strong(duel, &nobody, here))
        return; /* another waits already */
    while (*duel == here && now_ns() < until)
        ; /* a rival that is woken first would be late */
    if (atomic_compare_exchange_strong(duel, &here, 0))
        return; /* nobody came */
    count(slot, COUNT_DUELS);
    *duel = 0;
}

/* The disk of somebody who waits for a rival, such as us, or -1. */
static int challenge(const Slot *slot, const Run *run)
{
    uint32_t duel = *slot->world->duel;

    return duel && !(duel & ACCEPTED) && !run->holds[duel - 1].mode
               ? (int)duel - 1
               : -1;
}

static void accept_duel(Slot *slot, int disk)
{
    uint32_t here = (uint32_t)disk + 1;

    atomic_compare_exchange_strong(slot->world->duel, &here, here | ACCEPTED);
}

/* TRUE: the lease is ours, and the stamper has the disk open. @meet: what is
 * done just before it is asked for, or NULL. */
static bool plug(Slot *slot, Run *run, int disk, Mode mode, bool second_name,
                 void (*meet)(Slot *slot, int disk))
{
    static const char *const modes[] = {"", "readonly", "shared", "exclusive"};
    g_autofree char *path = disk_path(slot->world, disk, second_name);
    g_autoptr(GError) error = NULL;
    Order order = {.what = ORDER_OPEN, .disk = disk, .mode = mode};
    int fd =
        open(path, (mode == MODE_EXCLUSIVE ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    json_t *arguments =
        json_pack("{s:s s:s}", "disk", path, "mode", modes[mode]);

    if (meet)
        meet(slot, disk);
    g_autoptr(json_t) lease =
        client_call(run->client, "lease-acquire", arguments, fd, NULL, &error);
    uint64_t granted = now_ns();

    close(fd);
    if (!lease && !g_error_matches(error, QMP_ERROR, QMP_ERROR_LEASE_BUSY))
        fail(slot, run, "lease-acquire: %s", error->message);
    if (!lease) {
        Counter reason = refusal(error->message);

        if (reason == COUNT_REFUSED_OTHER)
            fail(slot, run, "a refusal that does not say why: %s",
                 error->message);
        count(slot, COUNT_BUSY + reason - COUNT_REFUSED);
        return false;
    }
    run->holds[disk] = (Hold){mode, second_name, granted};
    count(slot, COUNT_PLUGGED);
    publish(slot, run);
    g_strlcpy(order.path, path, sizeof(order.path));
    tell(slot, run, &order);
    return true;
}

static uint32_t any(const _Atomic uint32_t *bits)
{
    uint32_t all = 0;

    for (int i = 0; i < SLOTS; i++)
        all |= bits[i];
    return all;
}

/* Plugs a disk in; the longer it is tried, the nearer we are to the moment
 * at which its holder lets it go or dies. */
static void plug_some(Slot *slot, Run *run, bool greedy)
{
    uint64_t until = now_ns() + (greedy ? draw(slot, 40) * NS_PER_MS : 0);
    int disk = (int)draw(slot, (unsigned)slot->world->disks);
    bool second_name = disk >= DISKS / 2 && chance(slot, 2);
    Mode mode = draw_mode(slot);
    uint32_t wanted = any(slot->world->ending);

    wanted = wanted ? wanted : any(slot->world->exclusive);
    for (int i = 0; greedy && i < DISKS && !(wanted & (1U << disk)); i++)
        disk = (disk + 1) % slot->world->disks;
    if (run->holds[disk].mode)
        return;
    second_name = second_name && disk >= DISKS / 2;
    do
        rest(slot, run, 0);
    while (!plug(slot, run, disk, mode, second_name, NULL) && now_ns() < until);
}

static void duel_for_some(Slot *slot, Run *run)
{
    int disk = challenge(slot, run);

    rest(slot, run, 0);
    if (disk >= 0) {
        plug(slot, run, disk, MODE_EXCLUSIVE, false, accept_duel);
        return;
    }
    disk = (int)draw(slot, (unsigned)slot->world->disks);
    if (!run->holds[disk].mode && !(any(slot->world->exclusive) & (1U << disk)))
        plug(slot, run, disk, MODE_EXCLUSIVE, false, wait_for_rival);
}

/* A fork keeps the disks that it was started with: these stay. */
static bool can_unplug(const Run *run, int disk)
{
    const Hold *hold = &run->holds[disk];

    return hold->mode && (run->form != FORM_FORK || hold->first);
}

static void unplug_some(Slot *slot, Run *run)
{
    int disk = (int)draw(slot, DISKS);
    Order order = {.what = ORDER_CLOSE};
    bool done = false;

    for (int i = 0; i < DISKS && !can_unplug(run, disk); i++)
        disk = (disk + 1) % DISKS;
    if (!can_unplug(run, disk))
        return;
    order.disk = disk;
    remember(slot, run, disk, END_UNPLUGGED, tell(slot, run, &order).when);

    g_autofree char *path =
        disk_path(slot->world, disk, run->holds[disk].second_name);
    for (int i = 1; !done; i++) {
        /* Others may have it open for a moment; of leases that are not
         * exclusive the supervisor cannot say who. */
        bool force =
            i == UNPLUG_TRIES || run->holds[disk].mode != MODE_EXCLUSIVE;
        g_autoptr(GError) error = NULL;
        g_autoptr(json_t) answer =
            client_call(run->client, "lease-release",
                        json_pack("{s:s s:b}", "disk", path, "force", force),
                        -1, NULL, &error);

        done = answer;
        count(slot, done ? COUNT_UNPLUGGED : COUNT_IN_USE);
        if (done && force)
            count(slot, COUNT_FORCED);
        if (!done && (force || !g_error_matches(error, QMP_ERROR,
                                                QMP_ERROR_WRONG_STATE)))
            fail(slot, run, "lease-release: %s", error->message);
    }
    run->holds[disk].mode = MODE_NONE;
    publish(slot, run);
}

void invite(Slot *slot, Run *run)
{
    slot->world->ending[slot->number] = slot->world->exclusive[slot->number];
    rest(slot, run, (int)draw(slot, 4));
}

void live(Slot *slot, Run *run)
{
    uint64_t until = now_ns() + (2 + draw(slot, 60)) * NS_PER_MS;

    publish(slot, run);
    while (now_ns() < until) {
        switch (challenge(slot, run) >= 0 ? 4 : draw(slot, 8)) {
        case 0:
        case 1:
            plug_some(slot, run, false);
            break;
        case 2:
            plug_some(slot, run, true);
            break;
        case 3:
            unplug_some(slot, run);
            break;
        case 4:
            duel_for_some(slot, run);
            break;
        default:
            if (any(slot->world->ending))
                plug_some(slot, run, true);
            else
                rest(slot, run, 1 + (int)draw(slot, 4));
        }
    }
    rest(slot, run, 0);
}
