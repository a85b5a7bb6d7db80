/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: virt-lock-disks' rooms
 *
 * A QEMU command line goes in, what QEMU would open comes out:
 *
 *   words    -> the options of the command, and their arguments
 *   keyval   -> "key=value,..." and JSON, as QEMU reads them
 *   command  -> what of it is about storage; -config.c reads -readconfig
 *   graph    -> block nodes, who uses whom, and what each is used for; -node.c
 *               makes them, -driver.c is the table of block drivers
 *   filename -> a file name with a protocol becomes options; -uri.c helps
 *   storage  -> a node's options become a disk, a lease or neither
 *   list     -> the findings, in order, each once; -image.c adds what images
 *               say of themselves: backing files, data files, extents
 *   print    -> lines
 *
 * None of these touches a file: what they must know of the machine they ask a
 * World for. -world.c is the real one, and -chain.c, the only room that runs
 * a program, its answer about images. virt-lock-disks.c is the command line.
 *
 * Should:  miss nothing that QEMU would write to; where there is doubt say
 *          the stronger mode; believe no input, and bound all of it.
 * Mustn't: print a secret: no text of an option is printed but ids, node
 *          names, paths, and what was taken apart and put together again.
 */
#ifndef VIRT_LOCK_DISKS_H
#define VIRT_LOCK_DISKS_H

#include <glib.h>
#include <jansson.h>
#include <sys/stat.h>

#include "qmp.h"

/* Longest file of words or of configuration that is read, bytes. */
#define DISKS_MAX_FILE (1024 * 1024)
/* Longest answer of qemu-img that is read, bytes. */
#define DISKS_MAX_INFO (1024 * 1024)
/* Deepest nesting of options. */
#define DISKS_MAX_DEPTH 64

/* What is done with storage, the weakest first. */
#define DISKS_MODES(X)                                                         \
    X(NONE, "none")                                                            \
    X(READONLY, "readonly")                                                    \
    X(SHARED, "shared")                                                        \
    X(EXCLUSIVE, "exclusive")

typedef enum {
#define X(id, name) MODE_##id,
    DISKS_MODES(X)
#undef X
} Mode;

/* What the rooms have to ask the machine for. */
typedef struct {
    /* The file's bytes, @len of them, NUL-terminated; g_free() them. */
    char *(*read)(gpointer data, const char *path, gsize max, gsize *len,
                  GError **error);
    /* FALSE where there is no such file. */
    gboolean (*look)(gpointer data, const char *path, struct stat *st);
    /* The path of what is open as descriptor @fd, g_free() it; NULL where it
     * has none. */
    char *(*fd_path)(gpointer data, int fd);
    /* What qemu-img says of the image at @path, an array of objects, the
     * image itself first, the caller owns it; @format may be NULL. Not to be
     * asked where the member is NULL. */
    json_t *(*inspect)(gpointer data, const char *path, const char *format,
                       gboolean backing, GError **error);
    const char *host; /* this host's name */
    gpointer data;
} World;

/* --- words, keyval ------------------------------------------------------- */

typedef struct {
    const char *name; /* static: without dashes; "" of a disk image by itself;
                         "?" of what is not known, which is the value then */
    char *value;      /* "" where it takes none */
} Option;

/* The options of the QEMU in @argv, of Option; the caller owns the array. */
GPtrArray *words_read(char **argv, const World *world, GError **error);

/* "key=value,flag,..." as one flat object, or JSON ("{...}"). @implied is the
 * key that the first value may leave out, or NULL. @what is the option that
 * an error is about. Values keep bytes that are not UTF-8. */
json_t *keyval_parse(const char *what, const char *text, const char *implied,
                     GError **error);
/* JSON as QEMU takes it: 'single' quotes are quotes. */
json_t *keyval_json(const char *what, const char *text, GError **error);
/* A copy of @flat in which {"a.b": 1} is {"a": {"b": 1}}. */
json_t *keyval_nest(const char *what, const json_t *flat, GError **error);
/* As a string; NULL where it is none. */
const char *keyval_string(const json_t *object, const char *key);
/* As text, numbers too, newly allocated; NULL where it is neither. */
char *keyval_text(const json_t *object, const char *key);
/* on, yes, true and y are true. */
gboolean keyval_bool(const json_t *object, const char *key, gboolean otherwise);
/* Any bytes. */
void keyval_set(json_t *object, const char *key, const char *value);

/* --- command ------------------------------------------------------------- */

typedef enum {
    GIVEN_DRIVE,
    GIVEN_BLOCKDEV,
    GIVEN_DEVICE,
    GIVEN_OBJECT,
} GivenKind;

/* One option that is about storage. */
typedef struct {
    GivenKind kind;
    char *word;      /* "-drive", "-hda"; "" for an image by itself */
    json_t *options; /* flat */
} Given;

typedef struct {
    json_t *vm;         /* name, uuid, incoming: what is said */
    GPtrArray *givens;  /* of Given, in order */
    json_t *machine;    /* of -machine, flat */
    GPtrArray *globals; /* of json_t: driver, property, value */
    json_t *fdsets;     /* set to descriptor, the first one that was added */
    GPtrArray *unknown; /* names of options that are not known */
    gboolean snapshot;
} Command;

/* The caller frees it with command_free(). */
Command *command_read(const GPtrArray *options, const World *world,
                      GError **error);
void command_free(Command *command);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Command, command_free)
/* A drive, device, object ... as in options and in -readconfig files; takes
 * the reference. FALSE where the group has nothing to do with storage. */
gboolean command_add(Command *command, const char *group, const char *word,
                     json_t *options);
/* Adds what is in the file. */
gboolean config_read(Command *command, const char *path, const World *world,
                     GError **error);

/* --- file names, storage ------------------------------------------------- */

/* "nbd" of "nbd://host", by QEMU's rule: a colon before any slash. Newly
 * allocated; NULL where @filename is a plain path. */
char *filename_protocol(const char *filename);
/* Options (driver and others) that say what @filename says; @driver is known
 * or NULL. The caller owns them. Where @filename makes no sense their driver
 * is "?". */
json_t *filename_options(const char *filename, const char *driver);

/* The parts of SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/PATH][?QUERY], percent
 * signs decoded; user and password are dropped. */
typedef struct {
    char *scheme, *host, *path; /* path with its first slash, or "" */
    char *port;                 /* or NULL */
    char *query;                /* not decoded, or NULL */
} Uri;

/* NULL where @text is not of that form; uri_free() it. */
Uri *uri_parse(const char *text);
/* The value of a parameter, newly allocated, or NULL. */
char *uri_parameter(const Uri *uri, const char *name);
void uri_free(Uri *uri);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Uri, uri_free)

typedef enum {
    STORAGE_NOTHING,
    STORAGE_DISK,
    STORAGE_LEASE,
    STORAGE_UNCOVERED,
} StorageKind;

typedef struct {
    StorageKind kind;
    char *name;        /* path, key, or what it is that is not covered */
    char *lockspace;   /* of LEASE */
    char *reason;      /* of UNCOVERED */
    gboolean readonly; /* by nature: whatever is asked for */
} Storage;

/* The file at @path, as QEMU would open it. */
Storage *storage_of_file(const char *path, const json_t *fdsets,
                         const World *world);
/* What a node without children is stored in; storage_free() it. */
Storage *storage_of_node(const char *driver, const json_t *options,
                         const json_t *fdsets, const World *world);
Storage *storage_uncovered(const char *what, const char *reason);
void storage_free(Storage *storage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Storage, storage_free)

/* --- graph --------------------------------------------------------------- */

typedef enum {
    DRIVER_UNKNOWN,
    DRIVER_PROTOCOL, /* has storage of its own and no children */
    DRIVER_FILTER,   /* what is done to it is done to its child */
    DRIVER_FORMAT,   /* has metadata in its file: two cannot write to it */
} DriverKind;

typedef struct {
    const char *name;
    DriverKind kind;
    gboolean probes;  /* children without a driver: QEMU looks what they are */
    gboolean chained; /* the image may name more files */
} Driver;

/* A row of the table; @name is NULL where QEMU probes. */
const Driver *driver_find(const char *name);

typedef enum {
    ROLE_FILE,    /* as its parent is used */
    ROLE_BACKING, /* only read */
    ROLE_WRITTEN, /* written whatever is done to its parent */
} Role;

typedef struct Node Node;

typedef struct {
    Node *child; /* or NULL: not found */
    char *name;  /* of a node elsewhere, or NULL */
    Role role;
} Edge;

struct Node {
    char *name; /* node-name, or NULL */
    char *id;   /* of a drive, or NULL */
    char *from; /* which words of the command */
    const Driver *driver;
    char *driver_name; /* NULL where it is probed */
    gboolean read_only, auto_read_only, unlocked;
    gboolean used;            /* has a parent, or a device */
    gboolean overlaid;        /* the command says what its backing file is */
    gboolean backing_written; /* ... that the backing file is not read-only */
    gboolean data_file;       /* the command says what its data file is */
    gboolean part;            /* shows only a part of its child */
    gboolean inside;          /* an image that is not simply a whole file */
    Mode mode;                /* what is done to it */
    GPtrArray *edges;         /* of Edge */
    Storage *storage;         /* where it has no children; else NULL */
    GPtrArray *images; /* of Node: formats whose images are stored here */
};

typedef struct {
    GPtrArray *nodes;    /* of Node, in order */
    GHashTable *names;   /* node-name or id to Node */
    GPtrArray *warnings; /* sentences */
    const json_t *fdsets;
    const World *world;
} Graph;

/* What a node is told by its parent. */
typedef struct {
    gboolean read_only, auto_read_only, unlocked;
    gboolean probed; /* a file name alone is of an image of any format */
    guint depth;
    const char *from;
} Inherited;

Graph *graph_new(const World *world, const json_t *fdsets);
void graph_free(Graph *graph);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Graph, graph_free)
void graph_warn(Graph *graph, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Adds a node and its inline children; @options are nested, @filename may be
 * NULL. *@node is NULL where there is nothing in it. */
gboolean graph_add(Graph *graph, const json_t *options, const char *filename,
                   const Inherited *inherited, Node **node, GError **error);
/* A new node without children; the graph owns it. */
Node *graph_new_node(Graph *graph, const char *driver, const char *from);
/* What is no block node but open all the same; takes the storage. */
void graph_add_storage(Graph *graph, Storage *storage, Mode mode,
                       const char *from);
/* Everything that @command says, attached. */
gboolean graph_fill(Graph *graph, const Command *command, GError **error);
/* Something that does @mode to the node of that name. */
void graph_use(Graph *graph, const char *name, Mode mode);
/* Finds nodes that are named elsewhere; call it before graph_settle(). */
void graph_link(Graph *graph);
/* Gives every node its mode. */
void graph_settle(Graph *graph);

/* --- list ---------------------------------------------------------------- */

typedef struct {
    json_t *lines;     /* array of objects */
    GHashTable *known; /* what a line is about, to its index */
    const World *world;
    guint depth; /* of images that name several */
} List;

/* What the QEMU command in @argv would open, in lines as they are printed
 * (each an object); the caller owns the array. NULL with an error. */
json_t *disks_list(char **argv, const World *world, GError **error);
const char *mode_name(Mode mode);
/* Adds a line, or strengthens the mode of the one that is there. */
void list_add(List *list, const Storage *storage, Mode mode, const char *from);
/* Adds a sentence. */
void list_warn(List *list, const char *text);
/* Adds what the image says of itself. @node uses the image whose storage is
 * @storage, and @mode is what is done to it. */
void list_add_image(List *list, const Node *node, const Storage *storage,
                    Mode mode);

/* The same for each image of a graph, but not what it is stored in. */
void list_add_images(List *list, Graph *graph);

/* --- the real world, printing -------------------------------------------- */

typedef struct {
    const char *qemu_img; /* NULL: images are not looked into */
    int timeout_ms;
} Chain;

/* World's members. */
char *world_read(gpointer data, const char *path, gsize max, gsize *len,
                 GError **error);
gboolean world_look(gpointer data, const char *path, struct stat *st);
char *world_fd_path(gpointer data, int fd);
/* @data is a Chain. */
json_t *chain_inspect(gpointer data, const char *path, const char *format,
                      gboolean backing, GError **error);

/* A word that @text begins with, newly allocated: for drivers and protocols
 * that are not known. */
char *word_of(const char *text);
/* @text as valid UTF-8, newly allocated. */
char *shown(const char *text);
/* All lines, each with its newline; newly allocated. */
char *print_lines(const json_t *lines);

#endif
