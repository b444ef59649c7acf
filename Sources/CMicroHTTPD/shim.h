#ifndef HIGHWATER_CMICROHTTPD_H
#define HIGHWATER_CMICROHTTPD_H

#include <microhttpd.h>

/// MHD_start_daemon(3), which is variadic: one thread that serves `listener`.
static inline struct MHD_Daemon *hw_httpd_start(
    int listener, unsigned connections, unsigned idle_seconds, size_t memory,
    MHD_AccessHandlerCallback handle, MHD_RequestCompletedCallback completed, void *context) {
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, context,
        MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_CONNECTION_LIMIT, connections,
        MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
        MHD_OPTION_NOTIFY_COMPLETED, completed, context,
        MHD_OPTION_END);
}

/// MHD_create_response_from_buffer(3) of a copy.
static inline struct MHD_Response *hw_httpd_response(const void *bytes, size_t count) {
    return MHD_create_response_from_buffer(count, (void *)bytes, MHD_RESPMEM_MUST_COPY);
}

#endif
