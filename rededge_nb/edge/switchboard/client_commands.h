/* The commands that clients call and workers answer: those of CMD arguments. */
#pragma once
#include "workers.h"

static long long max_call_bytes; /* 0: no limit. A worker could not receive more than its output buffer limit */

#define CANNOT_WAIT "ERR can not run a non-sync execution inside a MULTI/LUA (blocking is not allowed) or on loading."

/* Before Redis 7.2 a module cannot add its commands to an ACL category. There, users who may not run MODULE LIST,
 * which is in the category `dangerous`, may not run our commands of that category either. */
static bool permitted(Ctx *ctx) {
    if (RM_SetCommandACLCategories) return true;
    String *name = RM_GetCurrentUserName(ctx);
    String *sample[] = {RM_CreateString(NULL, "MODULE", 6), RM_CreateString(NULL, "LIST", 4)};
    User *user = RM_GetModuleUserFromUserName(name);
    bool allowed = user && RM_ACLCheckCommandPermissions(user, sample, 2) == OK;
    if (user) RM_FreeModuleUser(user);
    RM_FreeString(NULL, name);
    for (int i = 0; i < 2; i++) RM_FreeString(NULL, sample[i]);
    if (!allowed) RM_ReplyWithError(ctx, "NOPERM this user has no permissions to run dangerous commands");
    return allowed;
}

static int report_keys(Ctx *ctx, const Command *command, String **argv, int argc) {
    int at = 1;
    for (const Token *token = command->tokens; token < command->tokens + command->token_count && at < argc; token++) {
        long long count = token->kind == REST ? argc - at : 1;
        bool misfit = false;
        if (token->kind == COUNTED) {
            misfit = strcasecmp(RM_StringPtrLen(argv[at], NULL), token->word) || at + 1 == argc ||
                     RM_StringToLongLong(argv[at + 1], &count) != OK || count < 0 || count > argc - at - 2;
            if (misfit) count = argc - at;
            else at += 2;
        }
        for (; count > 0; count--, at++)
            if (token->kind != SKIP) RM_KeyAtPosWithFlags(ctx, at, misfit ? KEY_READ_WRITE : token->access);
    }
    return OK;
}

static int refuse_to_block(Ctx *ctx, const char *name) {
    if (!strncasecmp(name, "AI.", 3))
        return RM_ReplyWithError(ctx, "ERR Cannot run RedisAI command within a transaction or a LUA script");
    if (!strncasecmp(name, "RG.TRIGGER", 10)) return RM_ReplyWithError(ctx, CANNOT_WAIT);
    if (!strncasecmp(name, "RG.", 3))
        return RM_ReplyWithError(ctx, "Can not run gears inside a multi exec, lua, or when blocking is not allowed");
    return RM_ReplyWithError(ctx, say("ERR %s cannot run in MULTI, in a script or where a client cannot wait", name));
}

static int send_reply(Ctx *ctx, Reply *reply) {
    if (!reply) return RM_ReplyWithError(ctx, "ERR this command cannot be executed for a hook");
    RM_ReplyWithCallReply(ctx, reply);
    RM_FreeCallReply(reply);
    return OK;
}

/* The reply of the Redis function that stands for a command inside MULTI, if the workers have registered one: for
 * AI.X it is called edge_AI_X. Not in scripts: Redis cannot run a function while it runs a script. */
static Reply *call_function(Ctx *ctx, const char *command, String **argv, int argc) {
    static const char missing[] = "ERR Function not found";
    int flags = RM_GetContextFlags(ctx);
    if (argc < 2 || !(flags & CTX_MULTI) || flags & (CTX_LUA | CTX_REPLICATED | CTX_LOADING)) return NULL;
    char name[80];
    snprintf(name, sizeof name, "edge_%s", command);
    for (char *at = name; *at; at++)
        if (*at == '.') *at = '_';
    Reply *reply = RM_Call(ctx, "FCALL", "!ME0ccv", name, "1", argv + 1, (size_t)argc - 1);
    size_t length;
    const char *text = reply && RM_CallReplyType(reply) == REPLY_ERROR ? RM_CallReplyStringPtr(reply, &length) : NULL;
    if (!text || length < sizeof missing - 1 || memcmp(text, missing, sizeof missing - 1)) return reply;
    RM_FreeCallReply(reply);
    return NULL;
}

static bool is_too_long(String **argv, int argc) {
    size_t total = 0, length;
    for (int i = 0; i < argc; i++) {
        RM_StringPtrLen(argv[i], &length);
        total += length;
    }
    return max_call_bytes && total > (size_t)max_call_bytes;
}

/* Handles every command of a CMD argument. */
static int run_call(Ctx *ctx, String **argv, int argc) {
    Command *command = command_named(RM_StringPtrLen(argv[0], NULL));
    if (!command) return RM_ReplyWithError(ctx, "ERR the edge module does not know this command under that name");
    if (RM_IsKeysPositionRequest(ctx)) return report_keys(ctx, command, argv, argc);
    if (strstr(command->categories, "dangerous") && !permitted(ctx)) return OK;
    if (cannot_block(ctx)) {
        Reply *reply = call_function(ctx, command->name, argv, argc);
        return reply ? send_reply(ctx, reply) : refuse_to_block(ctx, command->name);
    }
    if (is_too_long(argv, argc))
        return RM_ReplyWithError(ctx, say("ERR %s has more than %lld bytes, the limit of this server for one command",
                                          command->name, max_call_bytes));
    if (queue_is_full(ctx, command->class)) return OK;
    return queue_call(ctx, new_call(ctx, command->class, command->name, NULL, 0, argv, argc));
}
