#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

int hw_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

int hw_poll2(int first, int second, int64_t timeout_ns) {
    struct pollfd fds[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
    struct timespec timeout = {
        .tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    int count = ppoll(fds, 2, timeout_ns < 0 ? NULL : &timeout, NULL);
    if (count <= 0) {
        return count;
    }
    return (fds[0].revents ? 1 : 0) | (fds[1].revents ? 2 : 0);
}

int hw_timer_slack(unsigned long nanoseconds) {
    return prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0);
}

int hw_open(const char *path, int flags, unsigned mode) {
    return open(path, flags | O_CLOEXEC, mode);
}

int hw_fallocate(int fd, int64_t offset, int64_t length) { return fallocate(fd, 0, offset, length); }

int hw_rename_exclusive(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

static int signal_pipe = -1;
static int signal_exit_code = 130;
static atomic_int signal_count = 0;

static void on_signal(int number) {
    int saved = errno;
    if (atomic_fetch_add(&signal_count, 1) > 0) {
        _exit(signal_exit_code);
    }
    unsigned char byte = (unsigned char)number;
    ssize_t written = write(signal_pipe, &byte, 1);
    (void)written;
    errno = saved;
}

int hw_signal_install(int signal_number, int fd, int exit_code) {
    signal_pipe = fd;
    signal_exit_code = exit_code;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigfillset(&action.sa_mask);
    return sigaction(signal_number, &action, NULL);
}

int hw_free_space(const char *path, uint64_t *free_bytes, uint64_t *total_bytes) {
    struct statvfs info;
    if (statvfs(path, &info) != 0) {
        return -1;
    }
    *free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    *total_bytes = (uint64_t)info.f_blocks * info.f_frsize;
    return 0;
}

int hw_flock_exclusive(int fd) { return flock(fd, LOCK_EX | LOCK_NB); }

int64_t hw_file_system_type(const char *path) {
    struct statfs info;
    if (statfs(path, &info) != 0) {
        return -1;
    }
    // f_type is a signed long: CIFS, SMB2, BTRFS and F2FS have the top bit of 32 set.
    return (int64_t)(uint32_t)info.f_type;
}

static struct flock range(int kind, int64_t start, int64_t length) {
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = kind == 0 ? F_UNLCK : kind == 1 ? F_RDLCK : F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return lock;
}

int hw_lock_range(int fd, int kind, int64_t start, int64_t length) {
    struct flock lock = range(kind, start, length);
    return fcntl(fd, F_SETLK, &lock);
}

int hw_lock_holder(int fd, int64_t start, int64_t length, int32_t *pid) {
    struct flock lock = range(2, start, length);
    if (fcntl(fd, F_GETLK, &lock) != 0) {
        return -1;
    }
    *pid = lock.l_pid;
    return lock.l_type == F_UNLCK ? 0 : lock.l_type == F_RDLCK ? 1 : 2;
}

void *hw_map_shared(int fd, int64_t length) {
    void *address = mmap(NULL, (size_t)length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return address == MAP_FAILED ? NULL : address;
}

uint32_t hw_load_word(const void *address) {
    return __atomic_load_n((const volatile uint32_t *)address, __ATOMIC_SEQ_CST);
}

void hw_store_word(void *address, uint32_t value) {
    __atomic_store_n((volatile uint32_t *)address, value, __ATOMIC_SEQ_CST);
}

uint64_t hw_descriptor_limit(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

int hw_clone_file(int from, int to) { return ioctl(to, FICLONE, from); }

int64_t hw_copy_range(int from, int to, int64_t offset, int64_t length) {
    off_t in = offset;
    off_t out = offset;
    return copy_file_range(from, &in, to, &out, (size_t)length, 0);
}

void hw_keep_freed_memory(int mapped, int kept) {
    mallopt(M_MMAP_THRESHOLD, mapped);
    mallopt(M_TRIM_THRESHOLD, kept);
}
