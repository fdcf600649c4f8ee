/* EDGE.READ, EDGE.WRITE and EDGE.CALL: they execute the commands of clients that have hooks. */
#pragma once
#include "hook_table.h"
#include "worker_commands.h"

/* Executes a command; argv[0] is its name. `call` waits for the events that it causes, unless that is NULL. */
static Reply *execute(Ctx *ctx, const char *format, String **argv, int argc, Call *call) {
    Cause now = {argv, argc, call}, *before = cause;
    cause = &now;
    Reply *reply = RM_Call(ctx, RM_StringPtrLen(argv[0], NULL), format, argv + 1, (size_t)argc - 1);
    cause = before;
    return reply;
}

static bool may_run(Ctx *ctx, String **argv, int argc) {
    String *name = RM_GetCurrentUserName(ctx);
    User *user = name ? RM_GetModuleUserFromUserName(name) : NULL;
    bool allowed = user && RM_ACLCheckCommandPermissions(user, argv, argc) == OK;
    if (user) RM_FreeModuleUser(user);
    if (name) RM_FreeString(NULL, name);
    return allowed;
}

/* The ids of all hooks of kind HOOK for a command, the first to be run first; NULL if there are none. */
static String *hooks_for(const Known *known, const char *name, size_t length, String **argv, int argc) {
    char *ids = NULL;
    size_t size = 0;
    for EACH(Hook, hook, hooks) {
        if (hook->kind != HOOK || !concerns(hook, known, name, length, NULL, argv, argc)) continue;
        size_t more = strlen(hook->id) + 1;
        if (!(ids = realloc(ids, size + more))) abort();
        memcpy(ids + size, hook->id, more);
        ids[size + more - 1] = ' ';
        size += more;
    }
    String *joined_ids = ids ? RM_CreateString(NULL, ids, size - 1) : NULL;
    free(ids);
    return joined_ids;
}

/* Executes a command at once, and lets its caller wait for the gears that process its events. */
static int run_linked(Ctx *ctx, const char *format, String **argv, int argc) {
    if (cannot_block(ctx)) return send_reply(ctx, execute(ctx, format, argv, argc, NULL));
    Call events = {.client = RM_GetClientId(ctx), .sequence = ++last_sequence}; /* most commands cause none */
    Reply *reply = execute(ctx, format, argv, argc, &events);
    if (events.waits == 0 || !reply) return send_reply(ctx, reply);
    Call *call = new_call(ctx, hook_class, RM_StringPtrLen(argv[0], NULL), NULL, 0, argv, argc);
    call->sequence = events.sequence;
    call->waits = events.waits;
    size_t length;
    const char *protocol = RM_CallReplyProto(reply, &length);
    call->answer = allocate(sizeof *call->answer);
    call->answer->payload = RM_CreateString(NULL, protocol, length); /* the reply itself must not outlive `ctx` */
    RM_FreeCallReply(reply);
    free_arguments(call);
    call->state = WAITING;
    call->executed = true;
    block_caller(ctx, call);
    hook_class->in_flight++;
    RM_BlockedClientMeasureTimeStart(call->blocked);
    watch(ctx, call);
    return OK;
}

/* Tells Redis the keys of a command that is an argument of another one, from word 1 on. */
static int report_inner_keys(Ctx *ctx, String **argv, int argc) {
    int count = 0, *flags = NULL, *at = NULL;
    if (argc > 1) at = RM_GetCommandKeysWithFlags(ctx, argv + 1, argc - 1, &count, &flags);
    for (int i = 0; at && i < count; i++) RM_KeyAtPosWithFlags(ctx, at[i] + 1, flags[i]);
    if (at) RM_Free(at);
    if (flags) RM_Free(flags);
    return OK;
}

static int run_hooked(Ctx *ctx, String **argv, int argc, const char *format) {
    if (RM_IsKeysPositionRequest(ctx)) return report_inner_keys(ctx, argv, argc);
    argv++, argc--;
    char name[MAX_COMMAND_NAME + 1];
    size_t length;
    const char *text = RM_StringPtrLen(argv[0], &length);
    Known *known = known_command(name, length = lower_case(text, length, name));
    if (!known || !known->script || known->own) return RM_ReplyWithError(ctx, "ERR this command cannot have a hook");
    if (RM_GetContextFlags(ctx) & (CTX_REPLICATED | CTX_LOADING))
        return send_reply(ctx, execute(ctx, "!E0v", argv, argc, NULL));
    String *ids = hooks_for(known, name, length, argv, argc);
    if (ids) {
        bool allowed = may_run(ctx, argv, argc), blocks = !cannot_block(ctx);
        if (allowed && blocks && is_too_long(argv, argc)) {
            RM_FreeString(NULL, ids);
            return RM_ReplyWithError(ctx, say("ERR %.63s has more than %lld bytes, the limit of this server for a "
                                              "command with a hook", text, max_call_bytes));
        }
        if (allowed && blocks && !queue_is_full(ctx, hook_class))
            return queue_call(ctx, new_call(ctx, hook_class, text, &ids, 1, argv, argc));
        RM_FreeString(NULL, ids);
        if (!allowed)
            return RM_ReplyWithError(
                ctx, say("NOPERM this user has no permissions to run '%.63s' on these keys", text));
        return blocks ? OK : RM_ReplyWithError(ctx, CANNOT_WAIT);
    }
    for EACH(Hook, hook, hooks) {
        if (hook->kind != LINKED || !concerns(hook, known, name, length, NULL, argv, argc)) continue;
        if (is_unread(hook))
            return RM_ReplyWithError(ctx, say("NOWORKER no edge worker runs the gear that %.63s waits for", text));
        if (hook->queued >= MAX_EVENTS)
            return RM_ReplyWithError(ctx, say("BUSYWORKER %lld events wait for the gear of %.63s", hook->queued, text));
    }
    return run_linked(ctx, format, argv, argc);
}

static int edge_read(Ctx *ctx, String **argv, int argc) { return run_hooked(ctx, argv, argc, "!WMCE0v"); }

static int edge_write(Ctx *ctx, String **argv, int argc) { return run_hooked(ctx, argv, argc, "!MCE0v"); }

static int edge_call(Ctx *ctx, String **argv, int argc) {
    if (!permitted(ctx)) return OK;
    Call *call;
    if (!find_call(argv[1], &call))
        return RM_ReplyWithError(ctx, "ERR EDGE.CALL takes the id of a call, from EDGE.NEXT");
    if (!call || call->class != hook_class) return RM_ReplyWithError(ctx, "ERR the caller does not wait any more");
    User *user = RM_GetModuleUserFromUserName(call->user);
    if (!user) return RM_ReplyWithError(ctx, "NOPERM the caller's user does not exist any more");
    int before = RM_GetSelectedDb(ctx);
    String **words = allocate((size_t)(argc - 1) * sizeof *words);
    words[0] = RM_CreateString(NULL, call->name, strlen(call->name));
    for (int i = 2; i < argc; i++) words[i - 1] = argv[i];
    RM_SetContextUser(ctx, user);
    RM_SelectDb(ctx, call->db);
    send_reply(ctx, execute(ctx, "!MCEv", words, argc - 1, call));
    RM_SelectDb(ctx, before);
    RM_SetContextUser(ctx, NULL);
    RM_FreeModuleUser(user);
    RM_FreeString(NULL, words[0]);
    free(words);
    return OK;
}

static int edge_quiet(Ctx *ctx, String **argv, int argc) {
    if (RM_IsKeysPositionRequest(ctx)) return report_inner_keys(ctx, argv, argc);
    if (!permitted(ctx)) return OK;
    unheard++;
    Reply *reply = execute(ctx, "!ME0v", argv + 1, argc - 1, NULL);
    unheard--;
    return send_reply(ctx, reply);
}

static int edge_join(Ctx *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    if (!permitted(ctx)) return OK;
    uint64_t client = RM_GetClientId(ctx);
    RM_DictSetC(joined, &client, sizeof client, &joined);
    return RM_ReplyWithSimpleString(ctx, "OK");
}
