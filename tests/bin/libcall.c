/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the lock manager API, call by call
 *
 * libcall: a manager of one VM that does as it is told, with the installed
 * headers and library alone; C99, and C++. Each line of its standard input is
 * one call, by the function's name without "virLockManager" and with its
 * arguments but for the manager itself; for each there is a line of output:
 *
 *   = NAME ok RESULT...
 *   = NAME failed CODE [HOLDER'S NAME, UUID, HOST, PID] SENTENCE
 *
 * and before it a line for each event that the callback was told of meanwhile:
 *
 *   ! TYPE NAME REASON PID EXIT-CODE SIGNAL
 *
 * Words are divided by spaces, and have %XX for what they could not have, "-"
 * for nothing; "disk NAME shared" is a resource. Not of the API are
 *
 *   run COMMAND...   the supervisor, with the arguments that were asked for,
 *                    and COMMAND: as a process of its own
 *   exec COMMAND...  this process becomes COMMAND; that has no answer
 *   poll MS          is the descriptor of GetEventFD readable?
 *   fork CALL...     a copy of this process makes the call, unheard
 *   pidfd            which process is that of GetChildPidfd? -1: none any more
 *
 * It ends with its input; then what the manager was is let alone.
 */
#define _POSIX_C_SOURCE 200809L

#include "libcall.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *words[WORDS_MAX + 1];

/* --- words ---------------------------------------------------------------- */

static void decode(char *word)
{
    char *out = word, hex[3] = "";

    while (*word) {
        if (*word == '%' && word[1] && word[2]) {
            memcpy(hex, word + 1, 2);
            *out++ = (char)strtol(hex, NULL, 16);
            word += 3;
        } else {
            *out++ = *word++;
        }
    }
    *out = '\0';
}

void say_text(const char *word)
{
    for (; *word; word++) {
        if (isgraph((unsigned char)*word) && *word != '%')
            putchar(*word);
        else
            printf("%%%02X", (unsigned int)(unsigned char)*word);
    }
}

void say_word(const char *word)
{
    printf(" ");
    say_text(word ? word : "-");
}

static void split(char *line)
{
    char *word = strtok(line, " \n");
    size_t n = 0;

    memset(words, 0, sizeof(words));
    for (; word && n < WORDS_MAX; word = strtok(NULL, " \n")) {
        words[n] = word;
        decode(words[n++]);
    }
}

const char *text(size_t n)
{
    return words[n] && strcmp(words[n], "-") == 0 ? NULL : words[n];
}

int number(size_t n)
{
    return words[n] ? atoi(words[n]) : 0;
}

/* Flags by their names, from the n-th word on. */
unsigned int flags(size_t n)
{
    static const struct {
        const char *name;
        unsigned int flag;
    } known[] = {
        {"readonly", VIR_LOCK_MANAGER_RESOURCE_READONLY},
        {"shared", VIR_LOCK_MANAGER_RESOURCE_SHARED},
        {"force", VIR_LOCK_MANAGER_RESOURCE_FORCE},
        {"migrate", VIR_LOCK_MANAGER_NEW_MIGRATE},
        {"attach", VIR_LOCK_MANAGER_NEW_ATTACH},
    };
    unsigned int mask = 0;
    size_t i;

    for (; words[n]; n++)
        for (i = 0; i < sizeof(known) / sizeof(*known); i++)
            if (strcmp(words[n], known[i].name) == 0)
                mask |= known[i].flag;
    return mask;
}

unsigned int type(size_t n)
{
    return words[n] && strcmp(words[n], "lease") == 0
               ? VIR_LOCK_MANAGER_RESOURCE_TYPE_LEASE
               : VIR_LOCK_MANAGER_RESOURCE_TYPE_DISK;
}

void become(const char *path, char *const *args)
{
    char *argv[2 * WORDS_MAX];
    size_t n = 0, i;
    int null = open("/dev/null", O_RDWR);

    argv[n++] = (char *)path;
    for (i = 0; args && args[i] && n < WORDS_MAX; i++)
        argv[n++] = args[i];
    for (i = 1; words[i]; i++)
        argv[n++] = words[i];
    argv[n] = NULL;
    setsid();
    dup2(null, 0);
    dup2(null, 1);
    close(null);
    execv(path ? path : "", argv);
    perror("libcall");
    _exit(125);
}

/* --- answers -------------------------------------------------------------- */

static void say_failed(void)
{
    const virLockManagerError *error = virLockManagerGetLastError();

    printf("= %s failed %d [", words[0], error->code);
    if (error->holder)
        printf("%s, %s, %s, %ld", error->holder->name, error->holder->uuid,
               error->holder->host, (long)error->holder->pid);
    printf("] %s\n", error->message);
}

int answer(int worked)
{
    if (worked)
        printf("= %s ok", words[0]);
    else
        say_failed();
    return worked;
}

void end_answer(void)
{
    printf("\n");
}

void answer_alone(int worked)
{
    if (answer(worked))
        end_answer();
}

/* --- all of it ------------------------------------------------------------ */

int main(void)
{
    char line[8192];

    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n") != 0) {
        split(line);
        if (!call())
            return 2;
    }
    end_calls();
    return 0;
}
