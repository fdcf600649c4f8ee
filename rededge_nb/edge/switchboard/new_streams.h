/* EDGE.STREAMS: tells workers of streams that have just been created. */
#pragma once
#include "client_commands.h"

typedef struct {
    Link link; /* in `stream_watchers` */
    uint64_t client;
    int db;
    size_t prefix_length;
    char *prefix;
    bool created; /* whether a stream was created of which the worker has not been told */
    Blocked *blocked;
} StreamWatcher;

static Link stream_watchers = {&stream_watchers, &stream_watchers};
static struct { int db; size_t length; char *key; } newest; /* the key that was created last */

static void wake_watcher(StreamWatcher *watcher) {
    Blocked *blocked = watcher->blocked;
    watcher->blocked = NULL;
    if (blocked) RM_UnblockClient(blocked, NULL);
}

/* XADD raises `new` if it creates the stream, and then `xadd`. */
static int on_stream_event(Ctx *ctx, int type, const char *name, String *key_string) {
    if (stream_watchers.next == &stream_watchers) return OK;
    size_t length;
    const char *key = RM_StringPtrLen(key_string, &length);
    int db = RM_GetSelectedDb(ctx);
    if (type == NOTIFY_NEW) {
        free(newest.key);
        newest.db = db;
        newest.length = length;
        newest.key = copy_text(key, length);
        return OK;
    }
    if (!newest.key || newest.db != db || newest.length != length || memcmp(newest.key, key, length)) return OK;
    if (strcmp(name, "xadd")) return OK;
    free(newest.key);
    newest.key = NULL;
    for EACH(StreamWatcher, watcher, stream_watchers) {
        if (watcher->db != db || length < watcher->prefix_length) continue;
        if (memcmp(key, watcher->prefix, watcher->prefix_length)) continue;
        watcher->created = true;
        wake_watcher(watcher);
    }
    return OK;
}

static StreamWatcher *watcher_of(uint64_t client) {
    for EACH(StreamWatcher, watcher, stream_watchers)
        if (watcher->client == client) return watcher;
    return NULL;
}

static int reply_created(Ctx *ctx, StreamWatcher *watcher) {
    watcher->created = false;
    return RM_ReplyWithLongLong(ctx, 1);
}

static int on_watcher_woken(Ctx *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    StreamWatcher *watcher = watcher_of(RM_GetClientId(ctx));
    return watcher && watcher->created ? reply_created(ctx, watcher) : RM_ReplyWithNull(ctx);
}

/* Called if Redis unblocks a watcher because the server became a replica. */
static void on_watcher_unblocked(Ctx *ctx, Blocked *blocked) {
    (void)ctx;
    for EACH(StreamWatcher, watcher, stream_watchers)
        if (watcher->blocked == blocked) wake_watcher(watcher);
}

static void on_watcher_gone(uint64_t client) {
    StreamWatcher *watcher = watcher_of(client);
    if (!watcher) return;
    wake_watcher(watcher);
    take_out(&watcher->link);
    free(watcher->prefix);
    free(watcher);
}

static int edge_streams(Ctx *ctx, String **argv, int argc) {
    (void)argc;
    static bool subscribed = false;
    if (!permitted(ctx)) return OK;
    if (cannot_block(ctx)) return refuse_to_block(ctx, "EDGE.STREAMS");
    long long db;
    if (RM_StringToLongLong(argv[1], &db) != OK || db < 0 || db > INT_MAX)
        return RM_ReplyWithError(ctx, "ERR EDGE.STREAMS takes the number of a database");
    StreamWatcher *watcher = watcher_of(RM_GetClientId(ctx));
    if (watcher && watcher->blocked) return RM_ReplyWithError(ctx, "ERR this connection already waits in EDGE.STREAMS");
    if (!subscribed) subscribed = RM_SubscribeToKeyspaceEvents(ctx, NOTIFY_NEW | NOTIFY_STREAM, on_stream_event) == OK;
    if (!watcher) {
        watcher = allocate(sizeof *watcher);
        watcher->client = RM_GetClientId(ctx);
        watcher->created = true; /* streams may have been created before */
        put_last(&watcher->link, &stream_watchers);
    }
    free(watcher->prefix);
    const char *prefix = RM_StringPtrLen(argv[2], &watcher->prefix_length);
    watcher->prefix = copy_text(prefix, watcher->prefix_length);
    watcher->db = (int)db;
    if (watcher->created) return reply_created(ctx, watcher);
    watcher->blocked = RM_BlockClient(ctx, on_watcher_woken, NULL, NULL, 0);
    RM_SetDisconnectCallback(watcher->blocked, on_watcher_unblocked);
    return OK;
}
