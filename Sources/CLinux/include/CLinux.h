// What Glibc's Swift module lacks: calls that need _GNU_SOURCE, variadic calls, function macros.
#ifndef HIGHWATER_CLINUX_H
#define HIGHWATER_CLINUX_H

#include <stdint.h>
#include <sys/types.h>

/// eventfd(2), close-on-exec and non-blocking.
int hw_eventfd(void);

/// ppoll(2) for one or two descriptors to become readable; a negative descriptor is left out.
/// Returns a bit set (1: first, 2: second), 0 at the timeout, or -1 with errno.
int hw_poll2(int first, int second, int64_t timeout_ns);

/// prctl(PR_SET_TIMERSLACK): how late the calling thread's sleeps may end, in nanoseconds.
int hw_timer_slack(unsigned long nanoseconds);

/// A listening unix socket at `path` with these permission bits, and never with more. A socket that
/// nobody listens at any more is replaced. -1 with errno; EADDRINUSE when somebody listens, EACCES
/// when that cannot be found out.
int hw_listen_unix(const char *path, unsigned int mode);

/// A listening TCP socket; `host` empty means all addresses. -1 with errno.
int hw_listen_tcp(const char *host, const char *port);

/// accept4(2) with SOCK_CLOEXEC; reads and writes of the result end after `timeout_ms`.
int hw_accept(int fd, int timeout_ms);

/// Connects to a unix socket; reads and writes end after `timeout_ms`. -1 with errno.
int hw_connect_unix(const char *path, int timeout_ms);

/// Sends one datagram to a unix socket; a leading '@' means the abstract name space.
int hw_send_datagram(const char *path, const void *bytes, size_t length);

/// waitid(2), any child that has ended, which stays waitable: its process id, 0 for none, -1 with
/// errno. With `blocks` it waits until there is one.
pid_t hw_peek_ended_child(int blocks);

/// open(2) with O_CLOEXEC.
int hw_open(const char *path, int flags, unsigned mode);

/// fallocate(2), mode 0.
int hw_fallocate(int fd, int64_t offset, int64_t length);

/// renameat2(2) with RENAME_NOREPLACE.
int hw_rename_exclusive(const char *from, const char *to);

/// Installs a handler for a signal that writes the signal's number as one byte to `fd`, plus 128
/// when the terminal sent it. The second signal that `ends` ends the process at once with the exit
/// code that was set.
int hw_signal_install(int signal_number, int fd, int ends);

/// The exit code of a second signal; below 0, as in the beginning, it is a signal like the first.
void hw_signal_exit_code(int exit_code);

/// signal(2) with SIG_IGN.
void hw_signal_ignore(int signal_number);

/// Free bytes for unprivileged users and total bytes of the file system at `path`.
int hw_free_space(const char *path, uint64_t *free_bytes, uint64_t *total_bytes);

/// flock(2), exclusive and without waiting.
int hw_flock_exclusive(int fd);

/// statx(2): when the file at `path` was made, in nanoseconds since the epoch; 0 where the file
/// system does not know it, or -1 with errno.
int64_t hw_birth_time(const char *path);

/// statfs(2): the file system's magic number as 32 bits, or -1 with errno.
int64_t hw_file_system_type(const char *path);

/// fcntl(F_SETLK) on a byte range: 0 unlocks, 1 takes a shared lock, 2 an exclusive one.
int hw_lock_range(int fd, int kind, int64_t start, int64_t length);

/// fcntl(F_GETLK) for an exclusive lock: 0 when the range is free, 1 or 2 when somebody holds a
/// shared or exclusive lock, -1 with errno. `pid` is the holder's, 0 in another pid namespace.
int hw_lock_holder(int fd, int64_t start, int64_t length, int32_t *pid);

/// mmap(2), MAP_SHARED, for reading and writing; null with errno.
void *hw_map_shared(int fd, int64_t length);

/// One load or store of a word that another process uses too.
uint32_t hw_load_word(const void *address);
void hw_store_word(void *address, uint32_t value);

/// setrlimit(RLIMIT_NOFILE): raises the soft limit to the hard one, which it returns.
uint64_t hw_raise_descriptor_limit(void);

/// getrlimit(RLIMIT_NOFILE): the soft limit.
uint64_t hw_descriptor_limit(void);

/// ioctl(2) FICLONE: `to` shares the blocks of `from`.
int hw_clone_file(int from, int to);

/// copy_file_range(2) at an offset that is the same in both files.
int64_t hw_copy_range(int from, int to, int64_t offset, int64_t length);

/// mallopt(3): blocks up to `mapped` bytes come from the heap, which keeps `kept` free bytes.
void hw_keep_freed_memory(int mapped, int kept);

/// malloc_trim(3): free pages of all heaps go back to the kernel.
void hw_give_back_freed_memory(void);

#endif
