/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: what the two halves of the caller share: see libcall.c. */
#ifndef TEST_LIBCALL_H
#define TEST_LIBCALL_H

#include <libsupervise/lock_manager.h>

#define WORDS_MAX 64

/* The call's name and arguments, NULL-terminated; NULL where there are none. */
extern char *words[WORDS_MAX + 1];

/* The n-th word; NULL for "-", too. And as a number. */
const char *text(size_t n);
int number(size_t n);
/* Flags by their names, from the n-th word on; and a resource's type. */
unsigned int flags(size_t n);
unsigned int type(size_t n);

/* A word of the answer; NULL: "-". And the same as a part of one. */
void say_word(const char *word);
void say_text(const char *word);
/* Whether it worked: the results can be said, and then end_answer(). */
int answer(int worked);
void end_answer(void);
/* The same without results. */
void answer_alone(int worked);

/* This process becomes PATH, with ARGS, maybe NULL, and all words but the
 * first, in a session of its own, and nothing to read or to print to. */
void become(const char *path, char *const *args);

/* Makes the call that is in words[]; FALSE (0) where there is none. */
int call(void);
/* What was left is let go. */
void end_calls(void);

#endif
