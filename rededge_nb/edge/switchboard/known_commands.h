/* What Redis says about its commands. */
#pragma once
#include <ctype.h>

#include "basics.h"

enum { MAX_COMMAND_NAME = 63 };

typedef struct { /* what COMMAND says about a command */
    int arity, first, last, step;
    bool write, blocking, movable;
    bool script; /* whether scripts may call it */
    bool own;    /* whether an edge worker answers it */
} Known;

static Dict *known_commands; /* by name in lower case */

static bool has_flag(Reply *flags, const char *wanted) {
    for (size_t i = 0; i < RM_CallReplyLength(flags); i++) {
        size_t length;
        const char *flag = RM_CallReplyStringPtr(RM_CallReplyArrayElement(flags, i), &length);
        if (flag && length == strlen(wanted) && !memcmp(flag, wanted, length)) return true;
    }
    return false;
}

static int integer_in(Reply *reply, size_t index) {
    return (int)RM_CallReplyInteger(RM_CallReplyArrayElement(reply, index));
}

/* Puts a name in lower case into `name`; returns its length, or 0 if it is too long for a command. */
static size_t lower_case(const char *text, size_t length, char name[MAX_COMMAND_NAME + 1]) {
    if (length > MAX_COMMAND_NAME) return 0;
    for (size_t i = 0; i < length; i++) name[i] = (char)tolower((unsigned char)text[i]);
    name[length] = '\0';
    return length;
}

/* Reads all commands of the server. Entries stay for ever: a command does not change. */
static void learn_commands(Ctx *ctx) {
    Reply *reply = RM_Call(ctx, "COMMAND", "");
    for (size_t i = 0; reply && i < RM_CallReplyLength(reply); i++) {
        Reply *one = RM_CallReplyArrayElement(reply, i);
        if (RM_CallReplyType(one) != REPLY_ARRAY || RM_CallReplyLength(one) < 6) continue;
        size_t length;
        char name[MAX_COMMAND_NAME + 1];
        const char *text = RM_CallReplyStringPtr(RM_CallReplyArrayElement(one, 0), &length);
        if (!text || (length = lower_case(text, length, name)) == 0) continue;
        if (RM_DictGetC(known_commands, name, length, NULL)) continue;
        Reply *flags = RM_CallReplyArrayElement(one, 2);
        Known *known = allocate(sizeof *known);
        *known = (Known){.arity = integer_in(one, 1), .first = integer_in(one, 3), .last = integer_in(one, 4),
                         .step = integer_in(one, 5), .write = has_flag(flags, "write"),
                         .script = !has_flag(flags, "noscript"), .blocking = has_flag(flags, "blocking"),
                         .movable = has_flag(flags, "movablekeys")};
        known->own = !strncmp(name, "edge.", 5) || !strncmp(name, "rg.", 3) || !strncmp(name, "ai.", 3);
        RM_DictSetC(known_commands, name, length, known);
    }
    if (reply) RM_FreeCallReply(reply);
}

static Known *known_command(const char *name, size_t length) {
    return length ? RM_DictGetC(known_commands, (void *)name, length, NULL) : NULL;
}
