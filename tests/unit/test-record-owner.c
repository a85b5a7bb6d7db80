/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* DOC: whose a record is, and that he is on his way out. */
#include "record_fixture.h"

/* Only who has written a record removes it. */
static void test_remove_others(Fixture *f, gconstpointer unused)
{
    Record record = our_record(f);
    RecordId ours = write_record(f, "r", &record);
    RecordId theirs = write_record(f, "r", &record);
    RecordId none = {0};

    record_remove(f->state, "r", &ours);
    record_remove(f->state, "r", &none);
    g_assert_cmpuint(count_files(f->holders), ==, 1);
    record_remove(f->state, "r", &theirs);
    g_assert_cmpuint(count_files(f->holders), ==, 0);
}

/* Marked under all its names at once, and by its owner only. */
static void test_mark(Fixture *f, gconstpointer unused)
{
    Record ours = our_record(f);
    g_autoptr(json_t) holder = NULL;
    RecordId id, none = {0};

    ours.generation = 7;
    id = write_record(f, "vm-a", &ours);
    g_assert_true(record_link(f->state, "vm-a", "r", NULL));
    ours.exiting = TRUE;
    record_mark(f->state, "vm-a", &ours, &none);
    holder = record_find(f->state, "r", 0);
    g_assert_cmpint(integer_of(holder, "exiting"), ==, 0);
    json_decref(holder);
    record_mark(f->state, "vm-a", &ours, &id);
    record_mark(f->state, "vm-none", &ours, &id);
    holder = record_find(f->state, "r", 0);
    g_assert_cmpint(integer_of(holder, "exiting"), ==, 1);
    g_assert_cmpint(integer_of(holder, "generation"), ==, 7);
    g_assert_cmpint(record_generation(f->state, "r"), ==, 7);
    g_assert_cmpint(record_generation(f->state, "s"), ==, 0);
}

/* Who looks for the dead gets them first, and they count as exiting. */
static void test_dead(Fixture *f, gconstpointer unused)
{
    Record dead = our_record(f), alive = dead;
    g_autoptr(json_t) holder = NULL;

    write_record(f, "r", &alive);
    holder = record_find(f->state, "r", RECORD_DEAD | RECORD_SHARED);
    g_assert_cmpint(integer_of(holder, "exiting"), ==, 0);
    json_decref(holder);
    dead.start_time--;
    dead.uuid = UUID_B;
    write_record(f, "r." UUID_B, &dead);
    holder = record_find(f->state, "r", RECORD_DEAD | RECORD_SHARED);
    g_assert_cmpstr(string_of(holder, "uuid"), ==, UUID_B);
    g_assert_cmpint(integer_of(holder, "exiting"), ==, 1);
    json_decref(holder);
    dead.uuid = UUID_A; /* of whom the shared one is none */
    write_record(f, "r", &dead);
    holder = record_find(f->state, "r", RECORD_DEAD | RECORD_SHARED_ONLY);
    g_assert_cmpstr(string_of(holder, "uuid"), ==, UUID_B);
    json_decref(holder);
    holder = record_find(f->state, "r", RECORD_DEAD);
    g_assert_cmpstr(string_of(holder, "uuid"), ==, UUID_A);
}

int main(int argc, char **argv)
{
    tap_init(argc, argv);
#define ADD(name, func)                                                        \
    g_test_add("/record/" name, Fixture, NULL, setup, func, teardown)
    ADD("remove-others", test_remove_others);
    ADD("mark", test_mark);
    ADD("dead", test_dead);
    return g_test_run();
}
