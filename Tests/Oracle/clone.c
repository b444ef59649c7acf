// A cloned machine's view of one file, for LD_PRELOAD: the copy has the device, inode and time of
// birth of the original, as it has on the disk of a virtual machine that was copied.
//
// CLONE_COPY is the copy's inode; CLONE_LIKE the original's path as it can be reached here.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

static ino_t copy;
static struct stat original;
static struct statx birth;

__attribute__((constructor)) static void prepare(void) {
    const char *inode = getenv("CLONE_COPY"), *like = getenv("CLONE_LIKE");
    int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "stat");
    int (*extended)(int, const char *, int, unsigned, struct statx *) = dlsym(RTLD_NEXT, "statx");
    if (inode == NULL || like == NULL || real(like, &original) != 0 ||
        extended(AT_FDCWD, like, 0, STATX_BTIME, &birth) != 0) {
        abort();
    }
    copy = strtoull(inode, NULL, 10);
}

static int seen(int result, struct stat *info) {
    if (result == 0 && info->st_ino == copy) {
        info->st_dev = original.st_dev;
        info->st_ino = original.st_ino;
    }
    return result;
}

int stat(const char *path, struct stat *info) {
    int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "stat");
    return seen(real(path, info), info);
}

int lstat(const char *path, struct stat *info) {
    int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "lstat");
    return seen(real(path, info), info);
}

int fstat(int file, struct stat *info) {
    int (*real)(int, struct stat *) = dlsym(RTLD_NEXT, "fstat");
    return seen(real(file, info), info);
}

int statx(int folder, const char *path, int flags, unsigned mask, struct statx *info) {
    int (*real)(int, const char *, int, unsigned, struct statx *) = dlsym(RTLD_NEXT, "statx");
    int result = real(folder, path, flags, mask | STATX_INO, info);
    if (result == 0 && info->stx_ino == copy) {
        info->stx_btime = birth.stx_btime;
        info->stx_ino = original.st_ino;
    }
    return result;
}
