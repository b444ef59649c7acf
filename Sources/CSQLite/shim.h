// SQLite's API, and wrappers for what Swift cannot call: variadic functions, function pointers
// behind two structs, loads from memory that another process is writing.
#ifndef HIGHWATER_CSQLITE_SHIM_H
#define HIGHWATER_CSQLITE_SHIM_H

#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

static inline int hw_config_flag(sqlite3 *db, int option, int value) {
    return sqlite3_db_config(db, option, value, (int *)0);
}

/// For the whole process, before anything else: no page cache is allocated in bulk for each
/// connection, and no memory statistics are kept.
static inline int hw_config_small(void) {
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    return sqlite3_config(SQLITE_CONFIG_PAGECACHE, (void *)0, 0, 0);
}

static inline int hw_config_no_lookaside(sqlite3 *db) {
    return sqlite3_db_config(db, SQLITE_DBCONFIG_LOOKASIDE, (void *)0, 0, 0);
}

static inline sqlite3_file *hw_database_file(sqlite3 *db) {
    sqlite3_file *file = 0;
    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK) {
        return 0;
    }
    return file && file->pMethods ? file : 0;
}

static inline int hw_file_read(sqlite3_file *file, void *buffer, int count, int64_t offset) {
    return file->pMethods->xRead(file, buffer, count, offset);
}

static inline int hw_file_sync(sqlite3_file *file) {
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
}

static inline int hw_file_size(sqlite3_file *file, int64_t *size) {
    sqlite3_int64 value = 0;
    int code = file->pMethods->xFileSize(file, &value);
    *size = value;
    return code;
}

/// A 32 KiB region of the WAL-index as SQLite has mapped it, or 0 when it does not exist.
static inline volatile void *hw_shm_region(sqlite3_file *file, int region) {
    volatile void *memory = 0;
    if (!file->pMethods->xShmMap ||
        file->pMethods->xShmMap(file, region, 32768, 0, &memory) != SQLITE_OK) {
        return 0;
    }
    return memory;
}

/// Copies words that another process may be writing. Each word is loaded once.
static inline void hw_copy_words(const volatile void *source, uint32_t *target, int words) {
    const volatile uint32_t *from = (const volatile uint32_t *)source;
    for (int i = 0; i < words; i++) {
        target[i] = from[i];
    }
}

/// Copies both WAL-index headers, the first copy first: the order in which readers look
/// (wal.c walIndexTryHdr).
static inline void hw_copy_index_headers(const volatile void *source, uint32_t *target) {
    hw_copy_words(source, target, 12);
    __sync_synchronize();
    hw_copy_words((const volatile char *)source + 48, target + 12, 12);
    __sync_synchronize();
}

/// 1 when another connection holds the WAL-index's CKPT lock, 0 when nobody does.
static inline int hw_checkpoint_is_running(sqlite3_file *file) {
    const int ckpt_lock = 1; /* wal.c WAL_CKPT_LOCK */
    if (file->pMethods->xShmLock(file, ckpt_lock, 1, SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE)) {
        return 1;
    }
    file->pMethods->xShmLock(file, ckpt_lock, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    return 0;
}

static inline void hw_fence(void) { __sync_synchronize(); }

/// The newest frame of `page` at or below `limit` in one region of the WAL-index, or 0
/// (wal.c walFindFrame). `first` is the number of frames in the regions before this one.
static inline uint32_t hw_newest_frame(
    const volatile void *memory, int is_first_region, uint32_t page, uint32_t first, uint32_t limit) {
    const volatile uint32_t *numbers =
        (const volatile uint32_t *)memory + (is_first_region ? 34 : 0);
    const volatile uint16_t *hash = (const volatile uint16_t *)((const volatile char *)memory + 16384);
    uint32_t capacity = is_first_region ? 4062 : 4096;
    uint32_t newest = 0;
    uint32_t key = (page * 383) & 8191;
    for (int probes = 0; probes < 8192; probes++) {
        uint16_t slot = hash[key];
        if (slot == 0) {
            break;
        }
        if (slot <= capacity && first + slot <= limit && numbers[slot - 1] == page &&
            first + slot > newest) {
            newest = first + slot;
        }
        key = (key + 1) & 8191;
    }
    return newest;
}

#endif
