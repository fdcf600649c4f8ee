/* Hooks: commands of clients that a gear answers or that wait for a gear, and keyspace events for gears.
 *
 * Each hook has one of three kinds:
 *
 *     hook    a worker answers the command. It may have the original command executed, with EDGE.CALL.
 *     linked  the command is executed at once; its reply waits until the gear has processed the events that it caused.
 *     events  keyspace events, for which nobody waits.
 *
 * While there is a hook of one of the first two kinds, a command filter puts EDGE.READ or EDGE.WRITE before each
 * command that a hook may be interested in. The handlers of these look the hooks up again by name and keys: in MULTI the
 * filter runs when a command is queued, and the hooks may have changed until EXEC.
 *
 * Events wait in one queue for each hook. A reader (EDGE.EVENTS) gets the oldest, and they stay in the queue until
 * EDGE.DONE: if the reader dies, the next one gets them again.
 */
#pragma once
#include <ctype.h>

#include "calls.h"

enum { MAX_EVENTS = 100000, MAX_COMMAND_NAME = 63, READ_AT_ONCE = 100 };

typedef struct { /* what COMMAND says about a command */
    int arity, first, last, step;
    bool write, script, blocking, movable, own; /* script: it may be called by scripts; own: an edge worker answers it */
} Known;

typedef struct {
    Link link; /* in `events` of its hook, oldest first */
    uint64_t sequence, client, call; /* client and call: who waits for it, or 0 */
    char *name;
    size_t key_length;
    char *key;
    int argc;
    String **argv; /* the command that caused it, if somebody waits for it */
} Event;

typedef struct {
    Link link; /* in `hooks`, the last registered one first */
    char *id, *commands, *event_names, *prefix; /* commands: ",hset,set," or NULL for all; event_names likewise */
    size_t prefix_length;
    enum { HOOK, LINKED, EVENTS } kind;
    bool exact; /* the key must be equal to `prefix`, not only begin with it */
    int db;
    char *spec;
    Link events;
    long long queued, lost;
    uint64_t after;  /* the number of the last event that the reader has */
    uint64_t reader; /* connection that asked for events last, while it is open */
    long long unserved_since;
    Blocked *blocked; /* the reader, while it waits */
    uint64_t timer;   /* runs while there is no reader */
} Hook;

static Link hooks = {&hooks, &hooks};
static int hook_counts[3];
static Dict *known_commands, *joined; /* by name in lower case; by client id: connections of workers */
static uint32_t interesting[32];      /* by first letter: lengths of the names of commands that have hooks */
static Filter *filter;
static bool subscribed;
static int unheard;       /* > 0: commands are executed that raise no events for gears */
static uint64_t last_event;
static Class *hook_class; /* the class of hooked calls */
static Ctx *general;      /* a context for functions that need one where there is none */
typedef struct { String **argv; int argc; Call *call; } Cause;
static Cause *cause; /* the command that is executed now, and who waits */

/* ---- Commands that Redis knows ---- */

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

/* ---- Which hooks a command or an event has ---- */

/* Whether `list`, such as ",hset,set,", has this word. */
static bool listed(const char *list, const char *word, size_t length) {
    for (const char *at = list; (at = strchr(at, ',')) && at[1]; at++)
        if (!strncmp(at + 1, word, length) && at[1 + length] == ',') return true;
    return false;
}

static bool is_about(const Hook *hook, const char *key, size_t length) {
    return hook->exact ? length == hook->prefix_length && !memcmp(key, hook->prefix, length)
                       : length >= hook->prefix_length && !memcmp(key, hook->prefix, hook->prefix_length);
}

/* Word number `i` of a command that is in the filter, or in a handler. */
static String *word(Filtered *filtered, String **argv, int i) {
    return filtered ? RM_CommandFilterArgGet(filtered, i) : argv[i];
}

static bool has_key_of(const Hook *hook, const Known *known, Filtered *filtered, String **argv, int argc) {
    if (hook->prefix_length == 0 && !hook->exact) return true;
    if (known->movable) return hook->kind == LINKED; /* its events decide; a hook of kind HOOK is not possible */
    int last = known->last < 0 ? argc + known->last : known->last;
    for (int i = known->first; known->step > 0 && i > 0 && i <= last && i < argc; i += known->step) {
        size_t length;
        const char *key = RM_StringPtrLen(word(filtered, argv, i), &length);
        if (is_about(hook, key, length)) return true;
    }
    return false;
}

static bool concerns(const Hook *hook, const Known *known, const char *name, size_t length, Filtered *filtered,
                     String **argv, int argc) {
    if (hook->kind == EVENTS) return false;
    bool named = hook->commands ? listed(hook->commands, name, length)
                                : known->write && known->script && !known->blocking && !known->own;
    return named && has_key_of(hook, known, filtered, argv, argc);
}

static void note_interesting(void) {
    memset(interesting, 0, sizeof interesting);
    for EACH(Hook, hook, hooks) {
        if (hook->kind == EVENTS) continue;
        if (!hook->commands) memset(interesting, 0xff, sizeof interesting);
        for (const char *at = hook->commands; at && at[1]; at = strchr(at + 1, ',')) {
            size_t length = strcspn(at + 1, ",");
            interesting[at[1] & 31] |= (uint32_t)1 << (length < 31 ? length : 31);
        }
    }
}

static Hook *hook_of(const String *id) {
    const char *text = RM_StringPtrLen(id, NULL);
    for EACH(Hook, hook, hooks)
        if (!strcmp(hook->id, text)) return hook;
    return NULL;
}

/* ---- The filter ---- */

/* Whoever may run a command may run it through EDGE.READ and EDGE.WRITE, which check the permission for the original. */
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

/* ---- Events ---- */

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

static int reply_with_events(Ctx *ctx, const Hook *hook) {
    long count = 0;
    for EACH(Event, event, hook->events) count += event->sequence > hook->after && count < READ_AT_ONCE;
    RM_ReplyWithArray(ctx, 2);
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

static void on_client_change(Ctx *ctx, ServerEvent event, uint64_t what, void *data) {
    (void)event;
    if (what != CLIENT_DISCONNECTED) return;
    on_hook_client_gone(ctx, ((ClientInfo *)data)->id);
    on_worker_gone(ctx, ((ClientInfo *)data)->id);
}

static bool is_unread(const Hook *hook) {
    return !hook->reader && now_ms() - hook->unserved_since >= hook_class->grace_ms;
}

/* ---- Adding and removing hooks ---- */

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
    const char *error = unable ? unable : !known_kind || (hook->kind == HOOK && all_commands) ? "ERR a hook of no known kind" : NULL;
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

/* Reads the hooks that workers have stored, in a hash: id, spec. Until a worker is there, their commands are refused. */
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
