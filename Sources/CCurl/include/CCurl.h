// libcurl's types and constants, and its functions behind wrappers that Swift can call.
//
// libcurl is loaded when it is first needed, not linked: it brings some 30 libraries, which cost
// each start of the program about 8 ms, and commands on a folder need none of them. Calling a
// `curl_…` function directly therefore does not link; call the wrapper.
#ifndef HIGHWATER_CCURL_H
#define HIGHWATER_CCURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stdint.h>

/// Loads libcurl and sets it up for the process. Returns 0, or what went wrong. Not thread-safe:
/// call it once, before everything else.
const char *hw_curl_load(void);

/// curl_version(3).
const char *hw_curl_version(void);

// curl_easy_setopt(3), one wrapper per class of argument.
int hw_easy_set_long(void *easy, CURLoption option, long value);
int hw_easy_set_size(void *easy, CURLoption option, int64_t value);
int hw_easy_set_text(void *easy, CURLoption option, const char *value);
int hw_easy_set_pointer(void *easy, CURLoption option, void *value);

typedef size_t (*hw_read_function)(char *buffer, size_t size, size_t count, void *context);
typedef size_t (*hw_write_function)(char *bytes, size_t size, size_t count, void *context);
typedef int (*hw_seek_function)(void *context, curl_off_t offset, int origin);

/// The callbacks of a transfer, all with the same context.
void hw_easy_set_callbacks(
    void *easy, void *context, hw_read_function read, hw_seek_function seek,
    hw_write_function header, hw_write_function body);

void *hw_easy_init(void);
void hw_easy_reset(void *easy);
void hw_easy_cleanup(void *easy);
/// curl_easy_pause(3) with CURLPAUSE_CONT.
int hw_easy_continue(void *easy);
/// curl_easy_getinfo(3) of a long.
long hw_easy_long(void *easy, CURLINFO info);
/// curl_easy_getinfo(3) of a time or size.
int64_t hw_easy_offset(void *easy, CURLINFO info);
const char *hw_easy_strerror(int code);

void *hw_multi_init(void);
void hw_multi_cleanup(void *multi);
int hw_multi_set_long(void *multi, CURLMoption option, long value);
int hw_multi_add(void *multi, void *easy);
int hw_multi_remove(void *multi, void *easy);
int hw_multi_perform(void *multi);
/// curl_multi_poll(3) without descriptors of ours.
int hw_multi_poll(void *multi, int timeout_ms);
int hw_multi_wakeup(void *multi);
/// curl_multi_info_read(3): the next transfer that has ended, or 0; `code` is its CURLcode.
void *hw_multi_next_done(void *multi, int *code);

struct curl_slist *hw_slist_append(struct curl_slist *list, const char *text);
void hw_slist_free(struct curl_slist *list);

#endif
