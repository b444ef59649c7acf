#include "include/CCurl.h"

#include <dlfcn.h>
#include <stdio.h>

#define FUNCTIONS(F) \
    F(global_init) F(version) F(easy_init) F(easy_reset) F(easy_cleanup) F(easy_setopt) \
    F(easy_getinfo) F(easy_pause) F(easy_strerror) F(multi_init) F(multi_cleanup) \
    F(multi_setopt) F(multi_add_handle) F(multi_remove_handle) F(multi_perform) \
    F(multi_poll) F(multi_wakeup) F(multi_info_read) F(slist_append) F(slist_free_all)

#define DECLARE(name) static __typeof__(&curl_##name) p_##name;
FUNCTIONS(DECLARE)

const char *hw_curl_load(void) {
    static char problem[256];
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    void *library = 0;
    for (int i = 0; i < 2 && !library; i++) {
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (!library && i == 0) {
            snprintf(problem, sizeof problem, "%s", dlerror());
        }
    }
    if (!library) {
        return problem;
    }
#define LOAD(name)                                                                    \
    p_##name = (__typeof__(p_##name))dlsym(library, "curl_" #name);                   \
    if (!p_##name) {                                                                  \
        snprintf(problem, sizeof problem, "libcurl has no curl_" #name ", it is too old"); \
        return problem;                                                               \
    }
    FUNCTIONS(LOAD)
    if (p_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return "curl_global_init failed";
    }
    return 0;
}

const char *hw_curl_version(void) { return p_version(); }

int hw_easy_set_long(void *easy, CURLoption option, long value) {
    return p_easy_setopt(easy, option, value);
}

int hw_easy_set_size(void *easy, CURLoption option, int64_t value) {
    return p_easy_setopt(easy, option, (curl_off_t)value);
}

int hw_easy_set_text(void *easy, CURLoption option, const char *value) {
    return p_easy_setopt(easy, option, value);
}

int hw_easy_set_pointer(void *easy, CURLoption option, void *value) {
    return p_easy_setopt(easy, option, value);
}

void hw_easy_set_callbacks(
    void *easy, void *context, hw_read_function read, hw_seek_function seek,
    hw_write_function header, hw_write_function body) {
    p_easy_setopt(easy, CURLOPT_READFUNCTION, read);
    p_easy_setopt(easy, CURLOPT_READDATA, context);
    p_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek);
    p_easy_setopt(easy, CURLOPT_SEEKDATA, context);
    p_easy_setopt(easy, CURLOPT_HEADERFUNCTION, header);
    p_easy_setopt(easy, CURLOPT_HEADERDATA, context);
    p_easy_setopt(easy, CURLOPT_WRITEFUNCTION, body);
    p_easy_setopt(easy, CURLOPT_WRITEDATA, context);
}

void *hw_easy_init(void) { return p_easy_init(); }
void hw_easy_reset(void *easy) { p_easy_reset(easy); }
void hw_easy_cleanup(void *easy) { p_easy_cleanup(easy); }
int hw_easy_continue(void *easy) { return p_easy_pause(easy, CURLPAUSE_CONT); }

long hw_easy_long(void *easy, CURLINFO info) {
    long value = 0;
    p_easy_getinfo(easy, info, &value);
    return value;
}

int64_t hw_easy_offset(void *easy, CURLINFO info) {
    curl_off_t value = 0;
    p_easy_getinfo(easy, info, &value);
    return value;
}

const char *hw_easy_strerror(int code) { return p_easy_strerror((CURLcode)code); }

void *hw_multi_init(void) { return p_multi_init(); }
void hw_multi_cleanup(void *multi) { p_multi_cleanup(multi); }

int hw_multi_set_long(void *multi, CURLMoption option, long value) {
    return p_multi_setopt(multi, option, value);
}

int hw_multi_add(void *multi, void *easy) { return p_multi_add_handle(multi, easy); }
int hw_multi_remove(void *multi, void *easy) { return p_multi_remove_handle(multi, easy); }

int hw_multi_perform(void *multi) {
    int running = 0;
    return p_multi_perform(multi, &running);
}

int hw_multi_poll(void *multi, int timeout_ms) { return p_multi_poll(multi, 0, 0, timeout_ms, 0); }
int hw_multi_wakeup(void *multi) { return p_multi_wakeup(multi); }

void *hw_multi_next_done(void *multi, int *code) {
    int left = 0;
    CURLMsg *message;
    while ((message = p_multi_info_read(multi, &left))) {
        if (message->msg == CURLMSG_DONE) {
            *code = message->data.result;
            return message->easy_handle;
        }
    }
    return 0;
}

struct curl_slist *hw_slist_append(struct curl_slist *list, const char *text) {
    return p_slist_append(list, text);
}

void hw_slist_free(struct curl_slist *list) { p_slist_free_all(list); }
