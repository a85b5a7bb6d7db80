/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: what the documents take from the code's own tables
 *
 *   tables commands   the control protocol's commands, as POD
 *   tables confine    what the supervisor gives up, as POD
 *   tables states     the states of a VM, as POD
 *   tables messages   what is logged, as POD
 *   tables catalog    the same for the journal (journalctl -x)
 *   tables machine    picture and tables of the machine, as Markdown
 *   tables promela    the machine's table, for the model (tests/model)
 *
 * A table and a document that is written by hand drift apart; so the pages
 * hold a line "=for generated WHAT" instead, and docs/design.md the output of
 * "tables machine", which a test compares.
 *
 * Mustn't: know the name of any command, state, event, step or message.
 */
#include <stdio.h>
#include <string.h>

#include "../supervisor/confine.h"
#include "../supervisor/machine.h"
#include "../supervisor/messages.h"
#include "../supervisor/verbs.h"

/* @text as POD: nothing in it is a formatting code. */
static void put_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '<' || *text == '>')
            printf("E<%s>", *text == '<' ? "lt" : "gt");
        else
            putchar(*text);
    }
}

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_TRUE:
        return "boolean";
    case JSON_REAL:
        return "number";
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    default:
        g_assert_not_reached();
    }
}

/* The states that are in @mask, or are not, as @wanted says: "A, B, C". */
static char *state_names(guint mask, gboolean wanted)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < MACHINE_N_STATES; i++) {
        if (((mask >> i) & 1) == (guint)wanted)
            g_string_append_printf(names, "%s%s", names->len ? ", " : "",
                                   machine_state_name(i));
    }
    return g_string_free(names, FALSE);
}

static void put_states_of(guint mask)
{
    g_autofree char *allowed = state_names(mask, TRUE);
    g_autofree char *refused = state_names(mask, FALSE);

    if (!*refused)
        printf("in every state");
    else if (!strchr(refused, ','))
        printf("in every state but %s", refused);
    else
        printf("in state %s only", allowed);
}

static void put_arguments(const Verb *verb)
{
    puts("=over 4\n");
    for (int i = 0; i < VERB_MAX_ARGUMENTS && verb->arguments[i].name; i++) {
        const VerbArgument *argument = &verb->arguments[i];

        printf("B<%s> (%s, %s): ", argument->name, type_name(argument->type),
               argument->required ? "required" : "optional");
        put_text(argument->doc);
        puts(".\n");
    }
    puts("=back\n");
}

static void print_commands(void)
{
    const Verb *verb;

    for (gsize i = 0; (verb = verbs_at(i)); i++) {
        printf("=head2 %s\n\n", verb->name);
        put_text(verb->doc);
        puts("\n");
        if (verb->arguments[0].name)
            put_arguments(verb);
        printf("Returns ");
        put_text(verb->returns);
        printf(". A %s, allowed ", verb->changes ? "change" : "query");
        put_states_of(verb->states);
        puts(".\n");
    }
}

static void put_item(const char *name, const char *doc)
{
    printf("=item B<%s>\n\n", name);
    put_text(doc);
    puts("\n");
}

static void print_confine(void)
{
    static const char *const docs[] = {
#define X(id, name, doc) doc,
        CONFINE_STEPS(X)
#undef X
    };

    puts("=over 4\n");
    for (guint i = 0; i < CONFINE_N_STEPS; i++)
        put_item(confine_name(i), docs[i]);
    puts("=back\n");
}

static void print_states(void)
{
    puts("=over 4\n");
    for (guint i = 0; i < MACHINE_N_STATES; i++)
        put_item(machine_state_name(i), machine_state_doc(i));
    puts("=back\n");
}

static const struct {
    const char *name, *level, *id, *what, *meaning;
} messages[MESSAGE_N_KINDS] = {
#define X(name, level, id, what, meaning) {#name, #level, id, what, meaning},
    MESSAGES(X)
#undef X
};

static void print_messages(void)
{
    puts("=over 4\n");
    for (guint i = 0; i < MESSAGE_N_KINDS; i++) {
        g_autofree char *level = g_ascii_strdown(messages[i].level, -1);

        printf("=item B<%s> (%s, C<MESSAGE_ID=%s>)\n\n", messages[i].name,
               level, messages[i].id);
        printf("%c", g_ascii_toupper(messages[i].what[0]));
        put_text(messages[i].what + 1);
        printf(". %c", g_ascii_toupper(messages[i].meaning[0]));
        put_text(messages[i].meaning + 1);
        puts(".\n");
    }
    puts("=back\n");
}

/* See "Message Catalogs" of systemd. */
static void print_catalog(void)
{
    puts("# Written from supervisor/messages.h; do not edit.");
    for (guint i = 0; i < MESSAGE_N_KINDS; i++)
        printf("\n-- %s\n"
               "Subject: @VM_NAME@: %s\n"
               "Defined-By: virt-lock-supervisor\n"
               "Documentation: man:virt-lock-supervisor(8)\n\n"
               "%c%s.\n\nThe VM is @VM_NAME@, uuid @VM_UUID@.\n",
               messages[i].id, messages[i].what,
               g_ascii_toupper(messages[i].meaning[0]),
               messages[i].meaning + 1);
}

/* One arrow of the picture: all events of @state that do the same. */
typedef void PutEdge(MachineState state, const char *events,
                     MachineAction action, MachineState next);

/* TRUE where @event does @action and leads to @next. */
static gboolean does(MachineState state, MachineEvent event,
                     MachineAction action, MachineState next)
{
    MachineAction its_action;
    MachineState its_next;

    return machine_step(state, event, &its_action, &its_next) &&
           its_action == action && its_next == next;
}

static void each_edge_of(MachineState state, PutEdge *put)
{
    for (MachineState next = 0; next < MACHINE_N_STATES; next++) {
        for (MachineAction action = 0; action < MACHINE_N_ACTIONS; action++) {
            g_autoptr(GString) events = g_string_new(NULL);

            for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++) {
                if (does(state, event, action, next))
                    g_string_append_printf(events, "%s%s",
                                           events->len ? ", " : "",
                                           machine_event_name(event));
            }
            if (events->len)
                put(state, events->str, action, next);
        }
    }
}

static void put_arrow(MachineState state, const char *events,
                      MachineAction action, MachineState next)
{
    printf("    %s --> %s: %s / %s\n", machine_state_name(state),
           machine_state_name(next), events, machine_action_name(action));
}

static void put_row(MachineState state, const char *events,
                    MachineAction action, MachineState next)
{
    printf("| %s | %s | %s | %s |\n", machine_state_name(state), events,
           machine_action_name(action), machine_state_name(next));
}

static void each_edge(PutEdge *put)
{
    for (MachineState state = 0; state < MACHINE_N_STATES; state++)
        each_edge_of(state, put);
}

/* The first state is where it begins; a state without a way out, the end. */
static void print_picture(void)
{
    puts("```mermaid\nstateDiagram-v2");
    printf("    [*] --> %s\n", machine_state_name(0));
    each_edge(put_arrow);
    for (MachineState state = 0; state < MACHINE_N_STATES; state++) {
        gboolean end = TRUE;
        MachineAction action;
        MachineState next;

        for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++)
            end = end && !machine_step(state, event, &action, &next);
        if (end)
            printf("    %s --> [*]\n", machine_state_name(state));
    }
    puts("```\n");
}

static void print_machine(void)
{
    print_picture();
    puts("| state | meaning | child |\n|---|---|---|");
    for (MachineState state = 0; state < MACHINE_N_STATES; state++)
        printf("| %s | %s | %s |\n", machine_state_name(state),
               machine_state_doc(state),
               machine_has_child(state) ? "yes" : "no");
    puts("\n| state | event | action | next |\n|---|---|---|---|");
    each_edge(put_row);
    puts("\n| action | meaning |\n|---|---|");
    for (MachineAction action = 0; action < MACHINE_N_ACTIONS; action++)
        printf("| %s | %s |\n", machine_action_name(action),
               machine_action_doc(action));
}

/* Each cell as machine_step() answers it; CELL is the model's. */
static void print_promela(void)
{
    MachineAction action;
    MachineState next;

    puts("/* Written by \"tables promela\" from supervisor/machine.c. */");
#define X(id, ...) ", " #id
    printf("mtype:state = { %s };\n", &(MACHINE_STATES(X))[2]);
    printf("mtype:event = { %s };\n", &(MACHINE_EVENTS(X))[2]);
    printf("mtype:action = { REFUSED%s };\n\n", MACHINE_ACTIONS(X));
#undef X
    puts("inline machine_step(state, event)\n{\n    if");
    for (MachineState state = 0; state < MACHINE_N_STATES; state++) {
        for (MachineEvent event = 0; event < MACHINE_N_EVENTS; event++) {
            if (!machine_step(state, event, &action, &next))
                continue;
            printf("    :: state == %s && event == %s -> CELL(%u)\n"
                   "        action = %s; next = %s\n",
                   machine_state_name(state), machine_event_name(event),
                   state * MACHINE_N_EVENTS + event,
                   machine_action_name(action), machine_state_name(next));
        }
    }
    puts("    :: else -> action = REFUSED; next = state\n    fi\n}");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } tables[] = {
        {"commands", print_commands}, {"confine", print_confine},
        {"states", print_states},     {"messages", print_messages},
        {"catalog", print_catalog},   {"machine", print_machine},
        {"promela", print_promela},
    };

    for (guint i = 0; argc == 2 && i < G_N_ELEMENTS(tables); i++) {
        if (g_str_equal(argv[1], tables[i].name)) {
            tables[i].print();
            return fflush(stdout) == 0 ? 0 : 1;
        }
    }
    fputs("usage: tables commands|confine|states|messages|catalog|machine|"
          "promela\n",
          stderr);
    return 2;
}
