#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
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
static int signal_exit_code = -1;
static atomic_int signal_count = 0;

static void on_ending_signal(int number, siginfo_t *info, void *context) {
    int saved = errno;
    (void)context;
    if (signal_exit_code >= 0 && atomic_fetch_add(&signal_count, 1) > 0) {
        _exit(signal_exit_code);
    }
    // The terminal sends its signals to every process in the foreground, so that nobody has to
    // pass them on.
    unsigned char byte = (unsigned char)(number | (info->si_code == SI_KERNEL ? 0x80 : 0));
    ssize_t written = write(signal_pipe, &byte, 1);
    (void)written;
    errno = saved;
}

static void on_signal(int number, siginfo_t *info, void *context) {
    int saved = errno;
    (void)context;
    unsigned char byte = (unsigned char)(number | (info->si_code == SI_KERNEL ? 0x80 : 0));
    ssize_t written = write(signal_pipe, &byte, 1);
    (void)written;
    errno = saved;
}

int hw_signal_install(int signal_number, int fd, int ends) {
    signal_pipe = fd;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = ends ? on_ending_signal : on_signal;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigfillset(&action.sa_mask);
    return sigaction(signal_number, &action, NULL);
}

void hw_signal_exit_code(int exit_code) { signal_exit_code = exit_code; }

void hw_signal_ignore(int signal_number) { signal(signal_number, SIG_IGN); }

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

int64_t hw_birth_time(const char *path) {
    struct statx info;
    if (statx(AT_FDCWD, path, 0, STATX_BTIME, &info) != 0) {
        return -1;
    }
    if (!(info.stx_mask & STATX_BTIME)) {
        return 0;
    }
    return info.stx_btime.tv_sec * 1000000000 + info.stx_btime.tv_nsec;
}

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

void hw_give_back_freed_memory(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static int unix_address(const char *path, struct sockaddr_un *address, socklen_t *length) {
    size_t count = strlen(path);
    if (count >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, count);
    if (path[0] == '@') {
        address->sun_path[0] = 0;
    }
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + count + (path[0] != '@'));
    return 0;
}

static int closing(int fd) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int hw_listen_unix(const char *path, unsigned int mode) {
    struct sockaddr_un address;
    socklen_t length;
    if (unix_address(path, &address, &length) != 0) {
        return -1;
    }
    int probe = hw_connect_unix(path, 1000);
    if (probe >= 0) {
        close(probe);
        errno = EADDRINUSE;
        return -1;
    }
    if (errno == EACCES) {
        return -1;
    }
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode)) {
        unlink(path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    // Nobody may connect before the mode is what it should be: the name is made with the mode of the
    // descriptor, less the umask (net/unix/af_unix.c).
    if (fchmod(fd, mode) != 0 || bind(fd, (struct sockaddr *)&address, length) != 0
        || chmod(path, mode) != 0 || listen(fd, 64) != 0) {
        return closing(fd);
    }
    return fd;
}

int hw_listen_tcp(const char *host, const char *port) {
    struct addrinfo hints, *found = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    // One socket for IPv6 and IPv4 serves all addresses, where there is IPv6.
    hints.ai_family = host[0] ? AF_UNSPEC : AF_INET6;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    if (getaddrinfo(host[0] ? host : NULL, port, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = -1, off = 0;
    for (struct addrinfo *each = found; each != NULL && fd < 0; each = each->ai_next) {
        fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int on = 1;
        if (fd >= 0 && !host[0]) {
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        }
        if (fd >= 0
            && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
                || bind(fd, each->ai_addr, each->ai_addrlen) != 0 || listen(fd, 64) != 0)) {
            fd = closing(fd);
        }
    }
    freeaddrinfo(found);
    if (fd < 0 && !host[0] && errno != EADDRINUSE && errno != EACCES) {
        return hw_listen_tcp("0.0.0.0", port);
    }
    return fd;
}

static void set_timeouts(int fd, int timeout_ms) {
    struct timeval time = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

int hw_accept(int fd, int timeout_ms) {
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (accepted >= 0) {
        set_timeouts(accepted, timeout_ms);
    }
    return accepted;
}

int hw_connect_unix(const char *path, int timeout_ms) {
    struct sockaddr_un address;
    socklen_t length;
    if (unix_address(path, &address, &length) != 0) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    set_timeouts(fd, timeout_ms);
    return connect(fd, (struct sockaddr *)&address, length) == 0 ? fd : closing(fd);
}

int hw_send_datagram(const char *path, const void *bytes, size_t length) {
    struct sockaddr_un address;
    socklen_t size;
    if (unix_address(path, &address, &size) != 0) {
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    ssize_t sent = sendto(fd, bytes, length, MSG_NOSIGNAL, (struct sockaddr *)&address, size);
    closing(fd);
    return sent == (ssize_t)length ? 0 : -1;
}

pid_t hw_peek_ended_child(int blocks) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | (blocks ? 0 : WNOHANG)) != 0) {
        return -1;
    }
    return info.si_pid;
}

uint64_t hw_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return hw_descriptor_limit();
}
