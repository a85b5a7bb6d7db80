/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: the smallest child there is
 *
 * Writes one byte to its standard output when it runs, then does nothing
 * until it is killed. Linked statically, so that what is measured is the
 * program in front of it.
 */
#include <unistd.h>

int main(void)
{
    if (write(STDOUT_FILENO, "\n", 1) != 1)
        return 1;
    for (;;)
        pause();
}
