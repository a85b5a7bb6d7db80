/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the options of a QEMU command line
 *
 * The words before QEMU (env, nice, ip netns exec ...) are skipped. An option
 * has one dash or two, and an argument or none: by the table, so that no
 * argument is mistaken for an option. A word that is neither is an image.
 *
 * @FILE stands for the words in FILE; words from there are taken as they are.
 */
#include <string.h>

#include "virt-lock-disks.h"

/* Of QEMU 5 to 9, on any machine: options that take no argument. */
static const char *const switches[] = {
    "S",
    "alt-grab",
    "async-teardown",
    "audio-help",
    "ctrl-grab",
    "curses",
    "daemonize",
    "enable-fips",
    "enable-hax",
    "enable-hvf",
    "enable-kvm",
    "enable-sync-profile",
    "full-screen",
    "h",
    "help",
    "jitdump",
    "mem-prealloc",
    "no-acpi",
    "no-fd-bootchk",
    "no-frame",
    "no-hpet",
    "no-kvm",
    "no-kvm-irqchip",
    "no-kvm-pit",
    "no-kvm-pit-reinjection",
    "no-quit",
    "no-reboot",
    "no-shutdown",
    "no-user-config",
    "nodefaults",
    "nodefconfig",
    "nographic",
    "old-param",
    "one-insn-per-tb",
    "only-migratable",
    "perfmap",
    "portrait",
    "preconfig",
    "s",
    "sdl",
    "semihosting",
    "singlestep",
    "snapshot",
    "tdf",
    "usb",
    "version",
    "win2k-hack",
    "xen-attach",
    "xen-domid-restrict",
};

/* Those with an argument whose argument matters here; all others have one
 * that does not. */
static const char *const telling[] = {
    "M",      "add-fd",     "blockdev", "cdrom",    "device", "drive",
    "fda",    "fdb",        "global",   "hda",      "hdb",    "hdc",
    "hdd",    "incoming",   "machine",  "mtdblock", "name",   "object",
    "pflash", "readconfig", "sd",       "set",      "uuid",
};

static const char *look_up(const char *const *names, gsize count,
                           const char *name)
{
    for (gsize i = 0; i < count; i++) {
        if (g_str_equal(names[i], name))
            return names[i];
    }
    return NULL;
}

static gboolean is_qemu(const char *word)
{
    static const char *const names[] = {"qemu-kvm", "kvm", "qemu"};
    const char *slash = strrchr(word, '/');
    const char *name = slash ? slash + 1 : word;

    return g_str_has_prefix(name, "qemu-system-") ||
           look_up(names, G_N_ELEMENTS(names), name);
}

/* The word that is QEMU: of "sudo -u qemu qemu-kvm" and "runuser -u qemu --
 * qemu-kvm" it is the last one. NULL where there is none. */
static char **find_qemu(char **argv)
{
    char **found = NULL;

    while (*argv && !is_qemu(*argv))
        argv++;
    while (*argv && is_qemu(*argv)) {
        found = argv++;
        if (*argv && g_str_equal(*argv, "--"))
            argv++;
    }
    return found;
}

/* Separated by NULs, as the kernel shows them, else quoted as in a shell. */
static char **words_of_file(const char *path, const World *world,
                            GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_auto(GStrv) words = NULL;
    gsize length;
    g_autofree char *text =
        world->read(world->data, path, DISKS_MAX_FILE, &length, error);

    if (!text)
        return NULL;
    if (memchr(text, '\0', length)) {
        GPtrArray *array = g_ptr_array_new();

        for (gsize at = 0; at < length; at += strlen(text + at) + 1)
            g_ptr_array_add(array, g_strdup(text + at));
        g_ptr_array_add(array, NULL);
        return (char **)g_ptr_array_free(array, FALSE);
    }
    if (!g_shell_parse_argv(text, NULL, &words, &reason) &&
        !g_error_matches(reason, G_SHELL_ERROR, G_SHELL_ERROR_EMPTY_STRING)) {
        g_autofree char *name = shown(path);
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot understand the words in '%s': their quotes do not "
                    "match",
                    name);
        return NULL;
    }
    return words ? g_steal_pointer(&words) : g_new0(char *, 1);
}

/* TRUE where @word, which would be an image, names a file of words. */
static gboolean is_word_file(const char *word, const World *world)
{
    struct stat st;

    return word[0] == '@' && word[1] && !world->look(world->data, word, &st) &&
           world->look(world->data, word + 1, &st);
}

static void option_free(gpointer data)
{
    Option *option = data;

    g_free(option->value);
    g_free(option);
}

static void add_option(GPtrArray *options, const char *name, const char *value)
{
    Option *option = g_new0(Option, 1);

    option->name = name;
    option->value = g_strdup(value);
    g_ptr_array_add(options, option);
}

static gboolean read_options(GPtrArray *options, char **words,
                             const World *world, gboolean nested,
                             GError **error);

/* A word that is no option: an image, or @FILE. */
static gboolean read_image(GPtrArray *options, const char *word,
                           const World *world, gboolean nested, GError **error)
{
    g_auto(GStrv) words = NULL;

    if (nested || !is_word_file(word, world)) {
        add_option(options, "", word);
        return TRUE;
    }
    words = words_of_file(word + 1, world, error);
    return words && read_options(options, words, world, TRUE, error);
}

static gboolean read_options(GPtrArray *options, char **words,
                             const World *world, gboolean nested,
                             GError **error)
{
    for (char **word = words; *word; word++) {
        const char *name = *word + 1, *known;

        if (**word != '-') {
            if (!read_image(options, *word, world, nested, error))
                return FALSE;
            continue;
        }
        if (*name == '-')
            name++;
        known = look_up(switches, G_N_ELEMENTS(switches), name);
        if (known) {
            add_option(options, known, "");
            continue;
        }
        known = look_up(telling, G_N_ELEMENTS(telling), name);
        if (!word[1])
            break; /* QEMU will say that it lacks an argument */
        word++;
        if (known)
            add_option(options, known, *word);
    }
    return TRUE;
}

GPtrArray *words_read(char **argv, const World *world, GError **error)
{
    g_autoptr(GPtrArray) options = g_ptr_array_new_with_free_func(option_free);
    g_auto(GStrv) from_file = NULL;
    char **qemu;

    if (argv[0] && !argv[1] && argv[0][0] == '@' && argv[0][1]) {
        from_file = words_of_file(argv[0] + 1, world, error);
        if (!from_file)
            return NULL;
    }
    qemu = find_qemu(from_file ? from_file : argv);
    if (!qemu) {
        const char *first = from_file ? from_file[0] : argv[0];
        g_autofree char *name = shown(first ? first : "");
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot find the disks of '%s': it is not QEMU; name them "
                    "with --disk",
                    name);
        return NULL;
    }
    if (!read_options(options, qemu + 1, world, from_file != NULL, error))
        return NULL;
    return g_steal_pointer(&options);
}
