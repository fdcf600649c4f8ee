/* Adding and removing hooks. */
#pragma once
#include "command_filter.h"
#include "events.h"

static void free_hook(Hook *hook) {
    free(hook->id);
    free(hook->spec);
    free(hook->commands);
    free(hook->event_names);
    free(hook->prefix);
    free(hook);
}

static void remove_hook(Ctx *ctx, Hook *hook) {
    release_callers(ctx, hook, NULL);
    for EACH(Event, event, hook->events) free_event(hook, event);
    stop_hook_timer(ctx, hook);
    take_out(&hook->link);
    hook_counts[hook->kind]--;
    wake_reader(hook);
    free_hook(hook);
    note_interesting();
    if (filter && hook_counts[HOOK] + hook_counts[LINKED] == 0) {
        RM_UnregisterCommandFilter(ctx, filter);
        filter = NULL;
    }
}

/* The next word of a spec; "*" stands for all and becomes NULL. Words of a list are between commas. */
static char *next_list(const char **at, bool *is_all) {
    size_t length = strcspn(*at, " ");
    *is_all = length == 1 && **at == '*';
    char *list = allocate(length + 3);
    snprintf(list, length + 3, ",%.*s,", (int)length, *at);
    *at += length + ((*at)[length] == ' ');
    if (!*is_all) return list;
    free(list);
    return NULL;
}

static long long number_of(const char *id) {
    const char *dash = strrchr(id, '-');
    return strtoll(dash ? dash + 1 : id, NULL, 10);
}

/* Returns NULL, or what is wrong with the commands of a hook. */
static const char *wrong_commands(Ctx *ctx, Hook *hook) {
    static bool learned = false;
    char name[MAX_COMMAND_NAME + 1];
    if (!learned) learn_commands(ctx);
    learned = true;
    for (char *at = hook->commands; at && at[1]; at = strchr(at + 1, ',')) {
        size_t length = strcspn(at + 1, ",");
        for (size_t i = 1; i <= length; i++) at[i] = (char)tolower((unsigned char)at[i]);
        size_t found = lower_case(at + 1, length, name);
        if (!known_command(name, found)) learn_commands(ctx); /* it may be of a module that was loaded later */
        Known *known = known_command(name, found);
        if (!known) return "ERR no such command";
        if (!known->script || known->own || !strcmp(name, "select")) return "ERR this command cannot have a hook";
        if (known->movable && (hook->prefix_length || hook->exact))
            return "ERR a hook for keys is not possible on a command whose keys have no fixed places";
    }
    return NULL;
}

/* Adds a hook, or replaces the one with this id; returns NULL, or an error.
 * spec: KIND DB COMMANDS EVENTS KEYS, see EDGE.HOOK. */
static const char *add_hook(Ctx *ctx, const char *id, size_t id_length, const char *spec, size_t spec_length) {
    for EACH(Hook, existing, hooks) {
        if (strcmp(existing->id, id)) continue;
        if (!strcmp(existing->spec, spec)) return NULL;
        remove_hook(ctx, existing);
    }
    if (strlen(id) != id_length || id_length == 0 || strlen(spec) != spec_length) return "ERR a bad id or a NUL byte";
    char kind[8];
    int db, end = 0;
    if (sscanf(spec, "%7[a-z] %9d %n", kind, &db, &end) != 2 || end == 0 || db < 0)
        return "ERR EDGE.HOOK takes: KIND DB COMMANDS EVENTS KEYS";
    Hook *hook = allocate(sizeof *hook);
    hook->kind = !strcmp(kind, "hook") ? HOOK : !strcmp(kind, "linked") ? LINKED : EVENTS;
    bool all_commands, all_events, known_kind = hook->kind != EVENTS || !strcmp(kind, "events");
    const char *at = spec + end;
    hook->commands = next_list(&at, &all_commands);
    hook->event_names = next_list(&at, &all_events);
    size_t length = strlen(at);
    hook->exact = length == 0 || at[length - 1] != '*';
    hook->prefix_length = hook->exact ? length : length - 1;
    hook->prefix = copy_text(at, hook->prefix_length);
    hook->id = copy_text(id, id_length);
    hook->spec = copy_text(spec, spec_length);
    hook->db = db;
    hook->events = (Link){&hook->events, &hook->events};
    const char *unable = "ERR hooks on commands need Redis 7.2 or newer";
    if (hook->kind == EVENTS || (RM_CommandFilterGetClientId && RM_SetContextUser)) unable = NULL;
    bool no_kind = !known_kind || (hook->kind == HOOK && all_commands);
    const char *error = unable ? unable : no_kind ? "ERR a hook of no known kind" : NULL;
    if (!error && hook->kind != EVENTS) error = wrong_commands(ctx, hook);
    if (error) {
        free_hook(hook);
        return error;
    }
    if (hook->kind != HOOK && !subscribed) /* it costs time for each write, and cannot be undone */
        subscribed = RM_SubscribeToKeyspaceEvents(ctx, NOTIFY_ALL, on_event) == OK;
    if (hook->kind != EVENTS) permit_all(ctx);
    if (hook->kind != EVENTS && !filter) filter = RM_RegisterCommandFilter(ctx, on_command, FILTER_NOT_OWN_CALLS);
    Link *before = hooks.next; /* sorted by number, the highest first */
    while (before != &hooks && number_of(((Hook *)before)->id) > number_of(id)) before = before->next;
    put_last(&hook->link, before);
    hook_counts[hook->kind]++;
    begin_unread(ctx, hook);
    note_interesting();
    return NULL;
}

/* Reads the hooks that workers have stored, in a hash: id, spec. Until a worker is there, their commands fail. */
static void load_hooks(Ctx *ctx, int db, const char *key) {
    int before = RM_GetSelectedDb(ctx);
    if (RM_SelectDb(ctx, db) != OK) return;
    Reply *reply = RM_Call(ctx, "HGETALL", "c", key);
    RM_SelectDb(ctx, before);
    if (!reply) return;
    for (size_t i = 0; RM_CallReplyType(reply) == REPLY_ARRAY && i + 1 < RM_CallReplyLength(reply); i += 2) {
        size_t id_length, spec_length;
        const char *id = RM_CallReplyStringPtr(RM_CallReplyArrayElement(reply, i), &id_length);
        const char *spec = RM_CallReplyStringPtr(RM_CallReplyArrayElement(reply, i + 1), &spec_length);
        char *id_text = copy_text(id, id_length), *spec_text = copy_text(spec, spec_length);
        const char *error = add_hook(ctx, id_text, id_length, spec_text, spec_length);
        if (error) RM_Log(ctx, "warning", "the hook of %s: %s", id_text, error);
        free(id_text);
        free(spec_text);
    }
    RM_FreeCallReply(reply);
}
