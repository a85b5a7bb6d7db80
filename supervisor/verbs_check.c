/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: arguments of commands against the table, see verbs.h. */
#include "verbs.h"

#include "../libsupervise/qmp.h"

static gboolean has_type(const json_t *value, json_type type)
{
    if (type == JSON_TRUE)
        return json_is_boolean(value);
    if (type == JSON_REAL)
        return json_is_number(value);
    return json_typeof(value) == type;
}

static const VerbArgument *find_argument(const Verb *verb, const char *name)
{
    for (int i = 0; i < VERB_MAX_ARGUMENTS && verb->arguments[i].name; i++) {
        if (g_str_equal(verb->arguments[i].name, name))
            return &verb->arguments[i];
    }
    return NULL;
}

gboolean verb_check_arguments(const Verb *verb, json_t *arguments,
                              GError **error)
{
    const char *name;
    json_t *value;

    json_object_foreach (arguments, name, value) {
        const VerbArgument *argument = find_argument(verb, name);

        if (argument && has_type(value, argument->type))
            continue;
        g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                    argument ? "cannot run '%s': argument '%s' is of the "
                               "wrong type"
                             : "cannot run '%s': it has no argument '%s'",
                    verb->name, name);
        return FALSE;
    }
    for (int i = 0; i < VERB_MAX_ARGUMENTS && verb->arguments[i].name; i++) {
        if (verb->arguments[i].required &&
            !json_object_get(arguments, verb->arguments[i].name)) {
            g_set_error(error, QMP_ERROR, QMP_ERROR_BAD_ARGUMENT,
                        "cannot run '%s': argument '%s' is missing", verb->name,
                        verb->arguments[i].name);
            return FALSE;
        }
    }
    return TRUE;
}
