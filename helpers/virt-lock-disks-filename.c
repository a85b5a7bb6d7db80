/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: file names with a protocol
 *
 * "nbd://host/export" and {"driver": "nbd", "server": ...} are one thing:
 * names become options here, in the form of the latter, and only these are
 * looked at later. So two spellings have one key.
 */
#include <string.h>

#include "virt-lock-disks.h"

char *filename_protocol(const char *filename)
{
    gsize length = strcspn(filename, ":/");

    return filename[length] == ':' ? g_strndup(filename, length) : NULL;
}

typedef gboolean ParseFunc(json_t *options, const char *filename);

static json_t *inner(json_t *options, const char *key)
{
    json_t *object = json_object();

    json_object_set_new(options, key, object);
    return object;
}

/* "file:PATH", "host_device:PATH"; a colon in PATH is none of a protocol. */
static gboolean parse_path(json_t *options, const char *filename)
{
    const char *driver = keyval_string(options, "driver");
    gsize length = strlen(driver);

    if (g_str_has_prefix(filename, driver) && filename[length] == ':')
        filename += length + 1;
    keyval_set(options, "filename", filename);
    return TRUE;
}

static void set_server(json_t *options, const Uri *uri)
{
    json_t *server = inner(options, "server");

    keyval_set(server, "type", "inet");
    keyval_set(server, "host", uri->host);
    if (uri->port)
        keyval_set(server, "port", uri->port);
}

static gboolean parse_nbd_uri(json_t *options, const char *filename)
{
    g_autoptr(Uri) uri = uri_parse(filename);
    g_autofree char *path = NULL;

    if (!uri)
        return FALSE;
    keyval_set(options, "export", uri->path + (*uri->path == '/'));
    if (!g_str_equal(uri->scheme, "nbd+unix")) {
        set_server(options, uri);
        return TRUE;
    }
    path = uri_parameter(uri, "socket");
    if (path) {
        json_t *server = inner(options, "server");

        keyval_set(server, "type", "unix");
        keyval_set(server, "path", path);
    }
    return path != NULL;
}

/* nbd:HOST:PORT[:exportname=NAME], nbd:unix:PATH[:exportname=NAME] */
static gboolean parse_nbd(json_t *options, const char *filename)
{
    static const char marker[] = ":exportname=";
    const char *name;
    g_autofree char *server = NULL, *uri = NULL;

    if (strstr(filename, "://"))
        return parse_nbd_uri(options, filename);
    if (!g_str_has_prefix(filename, "nbd:"))
        return FALSE;
    filename += strlen("nbd:");
    name = strstr(filename, marker);
    server =
        g_strndup(filename, name ? (gsize)(name - filename) : strlen(filename));
    keyval_set(options, "export", name ? name + strlen(marker) : "");
    if (g_str_has_prefix(server, "unix:")) {
        json_t *object = inner(options, "server");

        keyval_set(object, "type", "unix");
        keyval_set(object, "path", server + strlen("unix:"));
        return TRUE;
    }
    server[strcspn(server, ",")] = '\0';
    uri = g_strconcat("nbd://", server, NULL);
    g_autoptr(Uri) parts = uri_parse(uri);
    if (parts)
        set_server(options, parts);
    return parts != NULL;
}

/* Up to one of @ends that has no backslash before it; *@p goes behind it.
 * *@end says which it was, NUL where there was none. */
static char *rbd_token(const char **p, const char *ends, char *end)
{
    GString *token = g_string_new(NULL);

    for (; **p && !strchr(ends, **p); (*p)++) {
        if (**p == '\\' && (*p)[1])
            (*p)++;
        g_string_append_c(token, **p);
    }
    *end = **p;
    if (**p)
        (*p)++;
    return g_string_free(token, FALSE);
}

/* rbd:POOL/[NAMESPACE/]IMAGE[@SNAPSHOT][:KEY=VALUE...] */
static gboolean parse_rbd(json_t *options, const char *filename)
{
    const char *p = filename + strlen("rbd:");
    g_autofree char *pool = NULL, *image = NULL, *space = NULL, *snap = NULL;
    char end;

    if (!g_str_has_prefix(filename, "rbd:"))
        return FALSE;
    pool = rbd_token(&p, "/", &end);
    if (!end)
        return FALSE;
    image = rbd_token(&p, "/@:", &end);
    if (end == '/') {
        space = g_steal_pointer(&image);
        image = rbd_token(&p, "@:", &end);
        keyval_set(options, "namespace", space);
    }
    if (end == '@') {
        snap = rbd_token(&p, ":", &end);
        keyval_set(options, "snapshot", snap);
    }
    keyval_set(options, "pool", pool);
    keyval_set(options, "image", image);
    return TRUE;
}

/* iscsi://[USER[%PASSWORD]@]HOST[:PORT]/TARGET/LUN */
static gboolean parse_iscsi(json_t *options, const char *filename)
{
    const char *authority = strstr(filename, "://");
    g_auto(GStrv) parts = NULL;
    g_autofree char *rest = NULL;

    if (!authority)
        return FALSE;
    rest = g_strndup(authority + 3, strcspn(authority + 3, "?"));
    parts = g_strsplit(rest, "/", 4);
    if (g_strv_length(parts) < 3)
        return FALSE;
    keyval_set(options, "target", parts[1]);
    keyval_set(options, "lun", parts[2]);
    return TRUE;
}

/* ssh, nfs: a server and a path there. */
static gboolean parse_remote(json_t *options, const char *filename)
{
    g_autoptr(Uri) uri = uri_parse(filename);

    if (!uri || !*uri->path)
        return FALSE;
    set_server(options, uri);
    keyval_set(options, "path", uri->path);
    return TRUE;
}

static gboolean parse_gluster(json_t *options, const char *filename)
{
    g_autoptr(Uri) uri = uri_parse(filename);
    g_auto(GStrv) parts = NULL;

    if (!uri || !*uri->path)
        return FALSE;
    parts = g_strsplit(uri->path + strspn(uri->path, "/"), "/", 2);
    if (!parts[0] || !parts[1])
        return FALSE;
    keyval_set(options, "volume", parts[0]);
    keyval_set(options, "path", parts[1] + strspn(parts[1], "/"));
    return TRUE;
}

/* nvme://ADDRESS[/NAMESPACE] */
static gboolean parse_nvme(json_t *options, const char *filename)
{
    const char *address = strstr(filename, "://");
    g_auto(GStrv) parts = NULL;

    if (!address)
        return FALSE;
    parts = g_strsplit(address + 3, "/", 2);
    keyval_set(options, "device", parts[0] ? parts[0] : "");
    keyval_set(options, "namespace",
               parts[0] && parts[1] && *parts[1] ? parts[1] : "1");
    return TRUE;
}

static gboolean parse_url(json_t *options, const char *filename)
{
    keyval_set(options, "url", filename);
    return TRUE;
}

/* fat:[OPTION:...]DIRECTORY */
static gboolean parse_fat(json_t *options, const char *filename)
{
    const char *last = strrchr(filename, ':');

    keyval_set(options, "dir", last ? last + 1 : filename);
    json_object_set_new(options, "rw",
                        json_boolean(strstr(filename, ":rw:") != NULL));
    return TRUE;
}

static gboolean parse_nothing(json_t *options, const char *filename)
{
    return TRUE;
}

/* blkdebug:[CONFIGURATION]:IMAGE */
static gboolean parse_blkdebug(json_t *options, const char *filename)
{
    const char *colon = NULL;

    if (g_str_has_prefix(filename, "blkdebug:"))
        colon = strchr(filename + strlen("blkdebug:"), ':');
    keyval_set(options, "x-image", colon ? colon + 1 : filename);
    return TRUE;
}

/* blkverify:RAW:IMAGE */
static gboolean parse_blkverify(json_t *options, const char *filename)
{
    const char *raw = filename + strlen("blkverify:");
    const char *colon = NULL;
    g_autofree char *first = NULL;

    if (g_str_has_prefix(filename, "blkverify:"))
        colon = strchr(raw, ':');
    if (!colon)
        return FALSE;
    first = g_strndup(raw, colon - raw);
    keyval_set(options, "x-raw", first);
    keyval_set(options, "x-image", colon + 1);
    return TRUE;
}

static const struct {
    const char *protocol, *driver;
    ParseFunc *parse;
} protocols[] = {
    {"blkdebug", "blkdebug", parse_blkdebug},
    {"blkverify", "blkverify", parse_blkverify},
    {"fat", "vvfat", parse_fat},
    {"file", "file", parse_path},
    {"ftp", "ftp", parse_url},
    {"ftps", "ftps", parse_url},
    {"gluster", "gluster", parse_gluster},
    {"gluster+rdma", "gluster", parse_gluster},
    {"gluster+tcp", "gluster", parse_gluster},
    {"gluster+unix", "gluster", parse_gluster},
    {"host_cdrom", "host_cdrom", parse_path},
    {"host_device", "host_device", parse_path},
    {"http", "http", parse_url},
    {"https", "https", parse_url},
    {"iscsi", "iscsi", parse_iscsi},
    {"iser", "iscsi", parse_iscsi},
    {"nbd", "nbd", parse_nbd},
    {"nbd+tcp", "nbd", parse_nbd},
    {"nbd+unix", "nbd", parse_nbd},
    {"nfs", "nfs", parse_remote},
    {"null-aio", "null-aio", parse_nothing},
    {"null-co", "null-co", parse_nothing},
    {"nvme", "nvme", parse_nvme},
    {"rbd", "rbd", parse_rbd},
    {"ssh", "ssh", parse_remote},
};

static json_t *parse_as(guint i, const char *filename)
{
    json_t *options = json_object();

    keyval_set(options, "driver", protocols[i].driver);
    if (protocols[i].parse(options, filename))
        return options;
    json_object_clear(options);
    keyval_set(options, "driver", "?");
    keyval_set(options, "what", protocols[i].protocol);
    return options;
}

json_t *filename_options(const char *filename, const char *driver)
{
    g_autofree char *protocol = filename_protocol(filename);
    const char *key = protocol ? protocol : driver ? driver : "file";
    json_t *options;

    /* a driver that is said takes the name, whatever it looks like */
    for (guint i = 0; i < G_N_ELEMENTS(protocols); i++) {
        if (driver ? g_str_equal(protocols[i].driver, driver)
                   : g_str_equal(protocols[i].protocol, key))
            return parse_as(i, filename);
    }
    options = json_object();
    keyval_set(options, "driver", driver ? driver : "?");
    if (driver)
        keyval_set(options, "filename", filename);
    else
        keyval_set(options, "what", key);
    return options;
}
