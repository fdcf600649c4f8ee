/* The command filter, which puts EDGE.READ or EDGE.WRITE before commands that hooks may be interested in. */
#pragma once
#include "hooks.h"

/* Whoever may run a command may run it through EDGE.READ and EDGE.WRITE: they check the permission for the original. */
static void permit(String *user_name, const char *name) {
    User *user = RM_GetModuleUserFromUserName(user_name);
    String *command = RM_CreateString(NULL, name, strlen(name)), *sample[] = {command};
    if (user && RM_ACLCheckCommandPermissions(user, sample, 1) != OK) RM_SetModuleUserACL(user, say("+%s", name));
    if (user) RM_FreeModuleUser(user);
    RM_FreeString(NULL, command);
}

/* For users whose first hooked command is in a script: there, the filter cannot find out whose command it is. */
static void permit_all(Ctx *ctx) {
    Reply *users = RM_Call(ctx, "ACL", "c", "USERS");
    for (size_t i = 0; users && RM_CallReplyType(users) == REPLY_ARRAY && i < RM_CallReplyLength(users); i++) {
        size_t length;
        const char *text = RM_CallReplyStringPtr(RM_CallReplyArrayElement(users, i), &length);
        String *name = RM_CreateString(NULL, text, length);
        permit(name, "EDGE.READ");
        permit(name, "EDGE.WRITE");
        RM_FreeString(NULL, name);
    }
    if (users) RM_FreeCallReply(users);
}

static void on_command(Filtered *filtered) {
    size_t length;
    const char *text = RM_StringPtrLen(RM_CommandFilterArgGet(filtered, 0), &length);
    if (length == 0 || !(interesting[text[0] & 31] >> (length < 31 ? length : 31) & 1)) return;
    char name[MAX_COMMAND_NAME + 1];
    Known *known = known_command(name, lower_case(text, length, name));
    int argc = RM_CommandFilterArgsCount(filtered);
    if (!known || (known->arity > 0 ? argc != known->arity : argc < -known->arity)) return;
    for EACH(Hook, hook, hooks) {
        if (!concerns(hook, known, name, length, filtered, NULL, argc)) continue;
        uint64_t client = RM_CommandFilterGetClientId(filtered);
        if (RM_DictGetC(joined, &client, sizeof client, NULL)) return;
        const char *inserted = known->write ? "EDGE.WRITE" : "EDGE.READ";
        String *user = RM_GetClientUserNameById(general, client);
        if (user) permit(user, inserted);
        if (user) RM_FreeString(NULL, user);
        RM_CommandFilterArgInsert(filtered, 0, RM_CreateString(NULL, inserted, strlen(inserted)));
        return;
    }
}
