/* The arguments with which the module is loaded, and registering its commands. */
#pragma once
#include "hook_commands.h"
#include "new_streams.h"
#include "reports.h"

static int hooks_database;
static char *hooks_key;

#define REJECT(...) return RM_Log(ctx, "warning", "cannot load: " __VA_ARGS__), false
#define NAME "%63[A-Za-z0-9._-]"

static bool add_class(Ctx *ctx, const char *text) {
    if (class_count == MAX_CLASSES) REJECT("more than %d classes", MAX_CLASSES);
    Class *class = &classes[class_count];
    int end = 0;
    int got = sscanf(text, NAME ",%11lld,%11lld,%11lld%n", class->name, &class->timeout_ms, &class->grace_ms,
                     &class->maxqueue, &end);
    if (got != 4 || text[end] || class->timeout_ms < 0 || class->grace_ms < 0 || class->maxqueue < 1)
        REJECT("CLASS '%s' is not name,timeout_ms,grace_ms,maxqueue", text);
    if (class_named(class->name)) REJECT("CLASS '%s' is given twice", class->name);
    class->unserved_since = now_ms();
    class->calls = (Link){&class->calls, &class->calls};
    class_count++;
    return true;
}

static bool parse_keys(Command *command, char *grammar) {
    char *state;
    for (char *text = strtok_r(grammar, " ", &state); text; text = strtok_r(NULL, " ", &state)) {
        if (command->token_count == MAX_TOKENS) return false;
        Token *token = &command->tokens[command->token_count++];
        if (!strcmp(text, ".")) continue; /* a new token is SKIP */
        char *colon = strchr(text, ':'), *star = text + strlen(text) - 1, *access = colon ? colon + 1 : text;
        *token = (Token){.kind = colon ? COUNTED : *star == '*' ? REST : KEY, .word = text};
        if (colon) *colon = '\0';
        else if (*star == '*') *star = '\0';
        token->access = !strcmp(access, "r") ? KEY_READ : !strcmp(access, "w") ? KEY_WRITE : KEY_READ_WRITE;
        if (colon == text || (token->access == KEY_READ_WRITE && strcmp(access, "rw"))) return false;
    }
    return true;
}

static bool add_command(Ctx *ctx, const char *text) {
    Command *command = &commands[command_count];
    char class[64];
    int end = 0;
    int got = sscanf(text, NAME "," NAME ",%5d,%n", command->name, class, &command->arity, &end);
    command->flags = copy_text(text + end, strlen(text + end)); /* never freed: the module cannot be unloaded */
    char *categories = strchr(command->flags, ','), *keys = categories ? strchr(categories + 1, ',') : NULL;
    if (got != 3 || end == 0 || command->arity == 0 || !keys || strchr(keys + 1, ','))
        REJECT("CMD '%s' is not NAME,class,arity,flags,categories,keys", text);
    *categories = *keys++ = '\0';
    command->categories = categories + 1;
    if (!(command->class = class_named(class))) REJECT("CMD '%s' names a class that is not given: %s", text, class);
    if (!parse_keys(command, keys)) REJECT("CMD '%s' has a bad key grammar", text);
    if (command_named(command->name)) REJECT("CMD '%s' is given twice", command->name);
    command_count++;
    return true;
}

static bool set_hooks(Ctx *ctx, const char *text) {
    char class[64];
    int end = 0;
    if (sscanf(text, NAME ",%4d,%n", class, &hooks_database, &end) != 2 || end == 0 || hooks_database < 0 || !text[end])
        REJECT("HOOKS '%s' is not class,db,key", text);
    if (!(hook_class = class_named(class))) REJECT("HOOKS '%s' names a class that is not given: %s", text, class);
    free(hooks_key);
    hooks_key = copy_text(text + end, strlen(text + end));
    return true;
}

static void on_loading(Ctx *ctx, ServerEvent event, uint64_t what, void *data) {
    (void)event, (void)data;
    if (what == LOADING_ENDED && hook_class) load_hooks(ctx, hooks_database, hooks_key);
}

static bool read_arguments(Ctx *ctx, String **argv, int argc) {
    commands = allocate((size_t)(argc / 2 + 1) * sizeof *commands);
    for (int i = 0; i < 2 * argc; i += 2) { /* two passes, classes first: commands refer to them */
        const char *keyword = RM_StringPtrLen(argv[i % argc], NULL);
        bool is_class = !strcasecmp(keyword, "CLASS"), is_command = !strcasecmp(keyword, "CMD");
        bool is_limit = !strcasecmp(keyword, "MAXCALL");
        if (!is_class && !is_command && !is_limit && strcasecmp(keyword, "HOOKS"))
            REJECT("'%s' is none of CLASS, CMD, HOOKS and MAXCALL", keyword);
        if (i % argc + 1 == argc) REJECT("%s without a value", keyword);
        const char *value = RM_StringPtrLen(argv[i % argc + 1], NULL);
        if (is_limit && (RM_StringToLongLong(argv[i % argc + 1], &max_call_bytes) != OK || max_call_bytes < 1))
            REJECT("MAXCALL '%s' is not a number of bytes", value);
        if (is_limit) continue;
        if (is_class && i < argc && !add_class(ctx, value)) return false;
        if (is_command && i >= argc && !add_command(ctx, value)) return false;
        if (!is_class && !is_command && i >= argc && !set_hooks(ctx, value)) return false;
    }
    return true;
}

static bool describe(Ctx *ctx, const char *name, int arity, const char *categories) {
    /* the numbers are sizes of array elements; all arrays are empty */
    static const DetailsVersion version = {1, 2 * sizeof(char *), 56, 88};
    const Details details = {.version = &version, .summary = "Answered by an edge worker.", .arity = arity};
    Registered *command = RM_GetCommand(ctx, name);
    if (!command || RM_SetCommandInfo(command, &details) != OK) REJECT("Redis takes no description of %s", name);
    if (RM_SetCommandACLCategories && *categories && RM_SetCommandACLCategories(command, categories) != OK)
        REJECT("%s has unknown ACL categories '%s'", name, categories);
    return true;
}

static bool register_command(Ctx *ctx, const Command *command) {
    const char *flags = say("%s%s", command->flags, command->token_count ? " getkeys-api" : "");
    int first = command->tokens[0].kind == KEY || command->tokens[0].kind == REST; /* for COMMAND INFO; Redis uses */
    int last = command->tokens[0].kind == REST ? -1 : first;                       /* the getkeys-api */
    if (RM_CreateCommand(ctx, command->name, run_call, *flags == ' ' ? flags + 1 : flags, first, last, first) == OK)
        return describe(ctx, command->name, command->arity, command->categories);
    if (RM_CreateCommand(ctx, command->name, run_call, "", 0, 0, 0) == OK)
        REJECT("%s has unknown flags '%s'", command->name, command->flags);
    RM_Log(ctx, "notice", "%s is a command already, of Redis or another module: skipped", command->name);
    return true;
}
