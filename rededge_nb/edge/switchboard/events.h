/* Keyspace events, from Redis to the gears that process them. */
#pragma once
#include "client_commands.h"
#include "hooks.h"

static void free_event(Hook *hook, Event *event) {
    take_out(&event->link);
    hook->queued--;
    for (int i = 0; i < event->argc; i++) RM_FreeString(NULL, event->argv[i]);
    free(event->argv);
    free(event->name);
    free(event->key);
    free(event);
}

static void wake_reader(Hook *hook) {
    Blocked *blocked = hook->blocked;
    hook->blocked = NULL;
    if (blocked) RM_UnblockClient(blocked, NULL);
}

/* Whether the hook is for events of the command that is executed now. */
static bool caused_by_its_command(const Hook *hook) {
    if (!hook->commands) return true;
    if (!cause) return false;
    char name[MAX_COMMAND_NAME + 1];
    size_t length;
    const char *text = RM_StringPtrLen(cause->argv[0], &length);
    length = lower_case(text, length, name);
    return length && listed(hook->commands, name, length);
}

static int on_event(Ctx *ctx, int type, const char *name, String *key_string) {
    (void)type;
    if (hook_counts[LINKED] + hook_counts[EVENTS] == 0 || unheard > 0) return OK;
    size_t length;
    const char *key = RM_StringPtrLen(key_string, &length);
    int db = RM_GetSelectedDb(ctx);
    for EACH(Hook, hook, hooks) {
        if (hook->kind == HOOK || hook->db != db || !is_about(hook, key, length)) continue;
        if (hook->event_names && !listed(hook->event_names, name, strlen(name))) continue;
        if (!caused_by_its_command(hook) || RM_GetContextFlags(ctx) & (CTX_REPLICA | CTX_LOADING)) continue;
        if (hook->queued >= MAX_EVENTS) {
            hook->lost++;
            continue;
        }
        Event *event = allocate(sizeof *event);
        *event = (Event){.sequence = ++last_event, .name = copy_text(name, strlen(name)), .key_length = length,
                         .key = copy_text(key, length)};
        if (cause && hook->kind == LINKED) {
            event->argc = cause->argc;
            event->argv = allocate((size_t)cause->argc * sizeof *event->argv);
            for (int i = 0; i < event->argc; i++) RM_RetainString(NULL, event->argv[i] = cause->argv[i]);
        }
        if (cause && hook->kind == LINKED && cause->call) {
            event->client = cause->call->client;
            event->call = cause->call->sequence;
            cause->call->waits++;
        }
        put_last(&event->link, &hook->events);
        hook->queued++;
        wake_reader(hook);
    }
    return OK;
}

static bool has_new_events(const Hook *hook) {
    return hook->queued && ((Event *)hook->events.prev)->sequence > hook->after;
}

/* Replies with the type of an event's key, and with its value if it is a string, a list or a hash. */
static void reply_with_value(Ctx *ctx, const Hook *hook, const Event *event) {
    static const char *const types[] = {"none", "string", "list", "hash", "set", "zset", "module", "stream"};
    static const char *const reads[] = {NULL, "GET", "LRANGE", "HGETALL"};
    int before = RM_GetSelectedDb(ctx);
    RM_SelectDb(ctx, hook->db);
    String *name = RM_CreateString(NULL, event->key, event->key_length);
    Key *key = RM_OpenKey(ctx, name, OPEN_TO_LOOK);
    int type = RM_KeyType(key); /* of NULL, too */
    RM_CloseKey(key);
    unheard++;
    Reply *value = NULL;
    if (type > 0 && type < 4) value = RM_Call(ctx, reads[type], type == 2 ? "scc" : "s", name, "0", "-1");
    unheard--;
    RM_FreeString(NULL, name);
    RM_SelectDb(ctx, before);
    RM_ReplyWithArray(ctx, value ? 2 : 1);
    const char *text = type < 8 ? types[type] : "module";
    RM_ReplyWithStringBuffer(ctx, text, strlen(text));
    if (value) send_reply(ctx, value);
}

static int reply_with_events(Ctx *ctx, const Hook *hook) {
    long count = 0;
    const Event *first = NULL;
    for EACH(Event, event, hook->events) {
        if (event->sequence <= hook->after || count == READ_AT_ONCE) continue;
        if (count++ == 0) first = event;
    }
    RM_ReplyWithArray(ctx, hook->with_value && first ? 3 : 2);
    RM_ReplyWithLongLong(ctx, hook->lost);
    RM_ReplyWithArray(ctx, count);
    for EACH(Event, event, hook->events) {
        if (event->sequence <= hook->after) continue;
        if (count-- == 0) break;
        RM_ReplyWithArray(ctx, 5);
        RM_ReplyWithLongLong(ctx, (long long)event->sequence);
        RM_ReplyWithStringBuffer(ctx, event->name, strlen(event->name));
        RM_ReplyWithStringBuffer(ctx, event->key, event->key_length);
        RM_ReplyWithLongLong(ctx, event->call != 0);
        RM_ReplyWithArray(ctx, event->argc);
        for (int i = 0; i < event->argc; i++) RM_ReplyWithString(ctx, event->argv[i]);
    }
    if (hook->with_value && first) reply_with_value(ctx, hook, first);
    return OK;
}

static int on_reader_woken(Ctx *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    uint64_t client = RM_GetClientId(ctx);
    for EACH(Hook, hook, hooks)
        if (hook->reader == client) return reply_with_events(ctx, hook);
    return RM_ReplyWithNull(ctx); /* the hook is gone, or another connection reads its events now */
}

/* Called if Redis unblocks a reader because the server became a replica. */
static void on_reader_unblocked(Ctx *ctx, Blocked *blocked) {
    (void)ctx;
    for EACH(Hook, hook, hooks)
        if (hook->blocked == blocked) wake_reader(hook);
}

/* Lets nobody wait for the events of this hook any more. */
static void release_callers(Ctx *ctx, Hook *hook, const char *error) {
    for EACH(Event, event, hook->events) {
        uint64_t client = event->client, sequence = event->call;
        event->client = event->call = 0;
        Call *call = sequence ? call_of(client) : NULL;
        if (call && call->sequence == sequence && error && call->state == WAITING) fail(ctx, call, error);
        else if (sequence) end_wait(ctx, client, sequence);
    }
}

/* Called when a hook has had no reader for the time that a worker needs to start again. The events stay. */
static void on_unread(Ctx *ctx, void *data) {
    Hook *hook = data;
    hook->timer = 0;
    release_callers(ctx, hook, "NOWORKER no edge worker runs the gear that this command waits for: the command was "
                               "executed, and the gear runs when a worker is there");
}

static void stop_hook_timer(Ctx *ctx, Hook *hook) {
    if (hook->timer) RM_StopTimer(ctx, hook->timer, NULL);
    hook->timer = 0;
}

static void begin_unread(Ctx *ctx, Hook *hook) {
    hook->reader = 0;
    hook->unserved_since = now_ms();
    stop_hook_timer(ctx, hook);
    hook->timer = RM_CreateTimer(ctx, hook_class->grace_ms, on_unread, hook);
}

static void on_hook_client_gone(Ctx *ctx, uint64_t client) {
    RM_DictDelC(joined, &client, sizeof client, NULL);
    for EACH(Hook, hook, hooks) {
        if (hook->reader != client) continue;
        wake_reader(hook);
        begin_unread(ctx, hook);
    }
}

static bool is_unread(const Hook *hook) {
    return !hook->reader && now_ms() - hook->unserved_since >= hook_class->grace_ms;
}
