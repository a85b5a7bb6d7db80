/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DOC: writes the supervisor's system call filter at build time
 *
 * libseccomp compiles the list below; the result is a C array that
 * confine.c loads. So the list is written with a library and costs nothing
 * at start. Default action: EPERM, logged (confine.c asks for that).
 *
 * Should:  name the room that needs a call.
 * Mustn't: allow what could start a process, open a socket, gain a right or
 *          make memory executable.
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const allowed[] = {
    /* the event loop */
    "poll",
    "ppoll",
    "read",
    "write",
    "close",
    "clock_gettime",
    "restart_syscall",
    "eventfd2",
    "exit_group",
    "exit",
    "rt_sigreturn",
    "rt_sigprocmask",
    "futex",
    "getrandom",
    /* malloc */
    "brk",
    "munmap",
    "mremap",
    "madvise",
    /* control: peers, and descriptors that come with messages */
    "accept4",
    "recvmsg",
    "recvfrom",
    "sendmsg",
    "sendto",
    "getsockopt",
    "fcntl",
    "shutdown",
    /* child: pidfds, /proc; stopping ourselves for job control */
    "pidfd_open",
    "pidfd_send_signal",
    "epoll_ctl",
    "waitid",
    "wait4",
    "getpid",
    "gettid",
    "getppid",
    "getpgrp",
    "getpgid",
    "tgkill",
    "getdents64",
    "readlink",
    "readlinkat",
    /* file driver, records, pid file */
    "open",
    "openat",
    "stat",
    "lstat",
    "fstat",
    "fstatfs",
    "sched_yield",
    "newfstatat",
    "statx",
    "lseek",
    "pread64",
    "pwrite64",
    "writev",
    "ftruncate",
    "unlink",
    "unlinkat",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
    "rmdir",
    "fchmod",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "umask",
    "sysinfo", /* qsort(3) */
    "uname",
#ifdef SANITIZED /* what AddressSanitizer adds */
    "sigaltstack",
    "rt_sigaction",
    "mprotect",
    "mmap",
    "prctl",
    "clone",
    "ptrace",
    "personality",
    "sched_getaffinity",
    "nanosleep",
    "clock_nanosleep",
    "kill",
    "dup",
    "getrusage",
    "prlimit64",
    "ioctl",
    "set_robust_list",
    "rseq",
    "process_vm_readv",
#endif
};

/* Of child_attach.c: _IOWR(0xFF, 11, 64 bytes). */
#define PIDFD_GET_INFO _IOC(_IOC_READ | _IOC_WRITE, 0xff, 11, 64)

static int check(int rc, const char *what)
{
    if (rc < 0) {
        fprintf(stderr, "seccomp_gen: cannot add '%s': error %d\n", what, -rc);
        exit(1);
    }
    return rc;
}

static scmp_filter_ctx build(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));

    check(filter ? 0 : -ENOMEM, "filter");
    check(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "tree");
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        int nr = seccomp_syscall_resolve_name(allowed[i]);

        if (nr >= 0) /* not every architecture has all of them */
            check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 0), allowed[i]);
    }
#ifdef __s390x__ /* its mmap takes a pointer to its arguments */
    check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 0), "mmap");
#else
    check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)),
          "mmap without PROT_EXEC");
#endif
    check(seccomp_rule_add(
              filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, PIDFD_GET_INFO)),
          "ioctl PIDFD_GET_INFO");
    check(seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)),
          "mprotect without PROT_EXEC");
    return filter;
}

int main(void)
{
    scmp_filter_ctx filter = build();
    FILE *bpf = tmpfile();
    struct sock_filter op;

    if (!bpf || seccomp_export_bpf(filter, fileno(bpf)) < 0)
        check(-EIO, "program");
    rewind(bpf);
    puts("/* Written by seccomp_gen.c; do not edit. */\n"
         "#include <linux/filter.h>\n"
         "static const struct sock_filter seccomp_filter[] = {");
    while (fread(&op, sizeof op, 1, bpf) == 1)
        printf("    {0x%04x, %u, %u, 0x%08x},\n", op.code, op.jt, op.jf, op.k);
    puts("};");
    fclose(bpf);
    seccomp_release(filter);
    return 0;
}
