/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the options of a QEMU command line
 *
 * The words before QEMU (env, nice, ip netns exec ...) are skipped. An option
 * has one dash or two, and an argument or none: by the table, so that no
 * argument is mistaken for an option (of one that is not known it is guessed,
 * and said so). A word that is neither is an image.
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
    "show-cursor",
    "singlestep",
    "snapshot",
    "tdf",
    "usb",
    "version",
    "win2k-hack",
    "xen-attach",
    "xen-domid-restrict",
};

/* Those whose argument matters here. */
static const char *const telling[] = {
    "M",      "add-fd",     "blockdev", "cdrom",    "device", "drive",
    "fda",    "fdb",        "global",   "hda",      "hdb",    "hdc",
    "hdd",    "incoming",   "machine",  "mtdblock", "name",   "object",
    "pflash", "readconfig", "sd",       "set",      "uuid",
};

/* Those whose argument has nothing to do with disks. */
static const char *const others[] = {
    "D",
    "L",
    "accel",
    "acpitable",
    "action",
    "append",
    "audio",
    "audiodev",
    "balloon",
    "bios",
    "boot",
    "bt",
    "chardev",
    "chroot",
    "clock",
    "compat",
    "cpu",
    "d",
    "debugcon",
    "dfilter",
    "display",
    "dtb",
    "dump-vmstate",
    "echr",
    "fsdev",
    "fw_cfg",
    "g",
    "gdb",
    "icount",
    "initrd",
    "iscsi",
    "k",
    "kernel",
    "loadvm",
    "m",
    "mem-path",
    "mon",
    "monitor",
    "msg",
    "net",
    "netdev",
    "nic",
    "numa",
    "option-rom",
    "overcommit",
    "parallel",
    "pidfile",
    "plugin",
    "prom-env",
    "qmp",
    "qmp-pretty",
    "qtest",
    "qtest-log",
    "realtime",
    "redir",
    "rotate",
    "rtc",
    "run-with",
    "runas",
    "sandbox",
    "seed",
    "semihosting-config",
    "serial",
    "shim",
    "smb",
    "smbios",
    "smp",
    "soundhw",
    "spice",
    "tb-size",
    "tftp",
    "tpmdev",
    "trace",
    "usbdevice",
    "vga",
    "virtfs",
    "virtfs_synth",
    "virtioconsole",
    "vnc",
    "watchdog",
    "watchdog-action",
    "writeconfig",
    "xen-domid",
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

/* Of one letter more it is a shell's word: "sh -c 'qemu-system-x86_64 ...'"
 * is a command that nobody here reads. */
static gboolean is_qemu(const char *word)
{
    static const char *const names[] = {"qemu-kvm", "kvm", "qemu"};
    static const char letters[] = "-_.+0123456789"
                                  "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *slash = strrchr(word, '/');
    const char *name = slash ? slash + 1 : word;

    if (g_str_has_prefix(name, "qemu-system-"))
        return strlen(name) == strspn(name, letters);
    return look_up(names, G_N_ELEMENTS(names), name) != NULL;
}

/* TRUE where @words[0] is the argument of @words[-1]: "qemu" is also the user
 * that QEMU runs as, "kvm" its group. */
static gboolean is_user(char *const *words)
{
    static const char *const options[] = {
        "-u", "-g", "-G", "--user", "--group", "--reuid", "--regid",
    };

    return !strchr(words[0], '/') && strlen(words[0]) <= strlen("qemu") &&
           look_up(options, G_N_ELEMENTS(options), words[-1]);
}

/* The word that is QEMU: of "sudo -u qemu qemu-kvm" the second. NULL where
 * there is none. */
static char **find_qemu(char **argv)
{
    char **first = NULL;

    for (char **word = argv; *word; word++) {
        if (!is_qemu(*word))
            continue;
        if (word == argv || !is_user(word))
            return word;
        first = first ? first : word;
    }
    return first;
}

/* env(1) can go somewhere else before it starts QEMU, and then relative paths
 * are not what they are here. FALSE where one of the words before @qemu does.
 */
static gboolean stays_here(char **argv, char **qemu, GError **error)
{
    gboolean env = FALSE;

    for (char **word = argv; word < qemu; word++) {
        const char *slash = strrchr(*word, '/');

        env |= g_str_equal(slash ? slash + 1 : *word, "env");
        if (!env || (!g_str_has_prefix(*word, "-C") &&
                     !g_str_has_prefix(*word, "--chdir")))
            continue;
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    "cannot find the disks of 'env': QEMU is started in "
                    "another directory; start it from there, or name them "
                    "with --disk");
        return FALSE;
    }
    return TRUE;
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

/* @words begin with an option; returns the last word that is part of it. An
 * option that is not known has an argument if it can be one. */
static char **read_option(GPtrArray *options, char **words)
{
    const char *name = words[0] + (words[0][1] == '-' ? 2 : 1);
    const char *known = look_up(switches, G_N_ELEMENTS(switches), name);
    gboolean alone = !words[1];

    if (known) {
        add_option(options, known, "");
        return words;
    }
    known = look_up(telling, G_N_ELEMENTS(telling), name);
    if (!known && !look_up(others, G_N_ELEMENTS(others), name)) {
        add_option(options, "?", name);
        alone = alone || words[1][0] == '-';
    }
    if (alone)
        return words;
    if (known)
        add_option(options, known, words[1]);
    return words + 1;
}

static gboolean read_options(GPtrArray *options, char **words,
                             const World *world, gboolean nested,
                             GError **error)
{
    for (char **word = words; *word; word++) {
        if (**word == '-')
            word = read_option(options, word);
        else if (!read_image(options, *word, world, nested, error))
            return FALSE;
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
    if (!stays_here(from_file ? from_file : argv, qemu, error) ||
        !read_options(options, qemu + 1, world, from_file != NULL, error))
        return NULL;
    return g_steal_pointer(&options);
}
