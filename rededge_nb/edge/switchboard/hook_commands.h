/* EDGE.HOOK, EDGE.UNHOOK, EDGE.EVENTS and EDGE.DONE, with which workers add hooks and process events. */
#pragma once
#include "hooked_commands.h"

static int edge_hook(Ctx *ctx, String **argv, int argc) {
    (void)argc;
    if (!permitted(ctx)) return OK;
    size_t id_length, spec_length;
    const char *id = RM_StringPtrLen(argv[1], &id_length), *spec = RM_StringPtrLen(argv[2], &spec_length);
    const char *error = hook_class ? add_hook(ctx, id, id_length, spec, spec_length)
                                   : "ERR the edge module was loaded without HOOKS";
    return error ? RM_ReplyWithError(ctx, error) : RM_ReplyWithSimpleString(ctx, "OK");
}

static int edge_unhook(Ctx *ctx, String **argv, int argc) {
    (void)argc;
    if (!permitted(ctx)) return OK;
    Hook *hook = hook_of(argv[1]);
    if (hook) remove_hook(ctx, hook);
    return RM_ReplyWithLongLong(ctx, hook != NULL);
}

static int edge_events(Ctx *ctx, String **argv, int argc) {
    if (!permitted(ctx)) return OK;
    if (cannot_block(ctx)) return refuse_to_block(ctx, "EDGE.EVENTS");
    long long after;
    if (RM_StringToLongLong(argv[2], &after) != OK || after < 0)
        return RM_ReplyWithError(ctx, "ERR EDGE.EVENTS takes the number of an event");
    if (argc > 4 || (argc == 4 && strcasecmp(RM_StringPtrLen(argv[3], NULL), "VALUE")))
        return RM_ReplyWithError(ctx, "ERR EDGE.EVENTS takes nothing but VALUE after the number");
    Hook *hook = hook_of(argv[1]);
    if (!hook || hook->kind == HOOK) return RM_ReplyWithError(ctx, "ERR there is no such hook, or it has no events");
    uint64_t client = RM_GetClientId(ctx);
    for EACH(Hook, other, hooks)
        if (other->reader == client && other != hook) begin_unread(ctx, other);
    if (hook->reader != client) wake_reader(hook);
    stop_hook_timer(ctx, hook);
    hook->reader = client;
    hook->after = (uint64_t)after;
    hook->with_value = argc == 4;
    if (has_new_events(hook)) return reply_with_events(ctx, hook);
    hook->blocked = RM_BlockClient(ctx, on_reader_woken, NULL, NULL, 0);
    RM_SetDisconnectCallback(hook->blocked, on_reader_unblocked);
    return OK;
}

static int edge_done(Ctx *ctx, String **argv, int argc) {
    if (!permitted(ctx)) return OK;
    if (argc > 4) return RM_ReplyWithError(ctx, "ERR wrong number of arguments for 'EDGE.DONE' command");
    long long number;
    if (RM_StringToLongLong(argv[2], &number) != OK || number < 1)
        return RM_ReplyWithError(ctx, "ERR EDGE.DONE takes the number of an event");
    Reader in;
    if (argc == 4 && !is_reply(argv[3], &in)) return refuse_payload(ctx, &in);
    Hook *hook = hook_of(argv[1]);
    if (!hook) return RM_ReplyWithLongLong(ctx, 0);
    for EACH(Event, event, hook->events) {
        if (event->sequence < (uint64_t)number) continue;
        if (event->sequence > (uint64_t)number) break;
        uint64_t client = event->client, sequence = event->call;
        Call *call = sequence ? call_of(client) : NULL;
        if (argc == 4 && call && call->sequence == sequence) {
            free_answer(NULL, call->answer);
            call->answer = answer_with(argv[3]);
            call->overridden = true;
        }
        free_event(hook, event);
        if (sequence) end_wait(ctx, client, sequence);
        return RM_ReplyWithLongLong(ctx, 1);
    }
    return RM_ReplyWithLongLong(ctx, 0);
}
