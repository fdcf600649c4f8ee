/* The edge module: a switchboard between Redis clients and edge workers.
 *
 * It registers command names, blocks the client that calls one, passes the call to a worker that waits for one, and
 * sends the worker's answer to the client. It does not know what the commands do.
 *
 * Module arguments, in any order and any number; each value is one word after its keyword:
 *
 *     CLASS name,timeout_ms,grace_ms,maxqueue
 *     CMD   NAME,class,arity,flags,categories,keys
 *     HOOKS class,db,key
 *
 * HOOKS names the class of commands that hooks pass to workers, and the hash in which the workers keep the hooks: they
 * are in force as soon as Redis has loaded its data. Without HOOKS, there can be none.
 *
 *     MAXCALL bytes
 *
 * timeout_ms: how long a call may take from its arrival, 0 = no limit. grace_ms: how long a call may wait while no
 * connected worker serves its class. maxqueue: how many calls may wait for a worker. At most 32 classes. arity is that
 * of COMMAND INFO; flags (of RedisModule_CreateCommand) and ACL categories are words separated by spaces. keys is a key
 * grammar, for the ACL and COMMAND GETKEYS: at most 16 tokens separated by spaces, matched from left to right.
 *
 *     r w rw             the next argument is a key that is read, written, or both
 *     .                  skip one argument
 *     r* w* rw*          all remaining arguments are keys
 *     WORD:r WORD:w ...  the next argument is WORD in any case, then a count n, then n keys
 *
 * Arguments after the last token are not keys. If the arguments do not match (or a count is wrong), all remaining ones
 * are treated as keys with access rw: a caller who misleads this parser must not get access to more keys than the ACL
 * permits.
 *
 * The workers' side (ACL category dangerous; not in scripts; not shown by MONITOR or SLOWLOG):
 *
 *     EDGE.NEXT count class [class ...]
 *         Blocks until there is a call of one of the classes, and returns up to `count` (1 to 1024) of them, oldest
 *         first, each as [id, class, client id, resp, db, user, [NAME, argument, ...]]. Null means: ask again. From its
 *         first EDGE.NEXT until it closes, the connection serves the classes that it named last. It may have several
 *         calls at the same time. Not in MULTI.
 *     EDGE.REPLY id payload
 *         From any connection. The payload is one complete RESP value, + - : $ * _ # , ( = ~ % nested at most 32 deep;
 *         it is sent in the caller's version of the protocol. Returns 1 (delivered) or 0 (the caller has disconnected
 *         or was answered before). For a malformed payload both the worker and the caller get an error. In MULTI the
 *         caller gets its answer if, and only if, the other commands of the transaction are executed.
 *     EDGE.HOOK id spec, EDGE.UNHOOK id
 *         Adds or removes a hook (see hooks.h). spec is `KIND DB COMMANDS EVENTS KEYS`: hook, linked or events; the
 *         database of the events; names of commands, or of events, separated by commas, or `*` for all (COMMANDS: all
 *         that write, and do not block); a key, or the beginning of keys followed by `*`.
 *     EDGE.EVENTS id after
 *         Blocks until there are events for a hook after the one with that number; returns [number of lost events, [[sequence, event, key, whether
 *         somebody waits, [NAME, argument, ...]], ...]], oldest first. The words are those of the command that caused
 *         it, if that was a client's. Null means: ask again. One connection at a time reads the events of a hook.
 *     EDGE.DONE id sequence [payload]
 *         An event has been processed. Whoever waits for it gets the payload as its reply, if there is one. Returns 1,
 *         or 0 if there is no such event.
 *     EDGE.CALL id [argument ...]
 *         Executes the command of a call from a hook, with these arguments, for its caller: with the caller's
 *         permissions, in the caller's database. Events that it causes are waited for like those of the caller.
 *     EDGE.QUIET NAME [argument ...]
 *         Executes a command that raises no events for gears and has no hooks.
 *     EDGE.JOIN
 *         The commands of this connection have no hooks: a worker sends it.
 *
 * Inside MULTI no client can wait, so a command is refused there, unless the workers have registered a Redis function
 * for it: edge_AI_TENSORSET for AI.TENSORSET. It gets the first argument as its key, and the others as arguments.
 *
 * Clients do not call EDGE.READ and EDGE.WRITE: the filter puts them before a command that may have hooks. They check
 * the caller's permission for that command, so the filter gives them to every user who lacks them.
 *
 * Errors to callers: NOWORKER (no worker within grace_ms), WORKERLOST (the worker that took the call has disconnected;
 * the call may have been executed and is not repeated), TIMEOUT, BUSYWORKER (the queue is full). Calls that no worker
 * has taken stay in the queue when a worker dies. When the server becomes a replica, Redis answers blocked clients with
 * UNBLOCKED.
 *
 * Redis 7.0 loses an answer if a client's timeout or CLIENT UNBLOCK happens while its UnblockClient is pending. So no
 * client is blocked with a timeout callback, and calls have timers of this module. UnblockClient is called exactly once
 * for each blocked client, by the function that takes the client out of `calls` or out of its Worker.
 */
#define _POSIX_C_SOURCE 200809L
#include "hooks.h"

static long long max_call_bytes; /* 0: no limit. A worker could not receive more than its output buffer limit */

#define CANNOT_WAIT "ERR can not run a non-sync execution inside a MULTI/LUA (blocking is not allowed) or on loading."

/* ---- Commands ---- */

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

static int edge_next(Ctx *ctx, String **argv, int argc) {
    if (!permitted(ctx)) return OK;
    if (cannot_block(ctx)) return refuse_to_block(ctx, "EDGE.NEXT");
    long long count;
    if (RM_StringToLongLong(argv[1], &count) != OK || count < 1 || count > MAX_BATCH)
        return RM_ReplyWithError(ctx, say("ERR EDGE.NEXT takes a count from 1 to %d", MAX_BATCH));
    uint32_t mask = 0;
    for (int i = 2; i < argc; i++) {
        Class *class = class_named(RM_StringPtrLen(argv[i], NULL));
        if (!class) return RM_ReplyWithError(ctx, say("ERR no class '%.63s' here", RM_StringPtrLen(argv[i], NULL)));
        mask |= (uint32_t)1 << (class - classes);
    }
    Worker *worker = worker_of(RM_GetClientId(ctx));
    if (worker && worker->blocked) return RM_ReplyWithError(ctx, "ERR this connection already waits in EDGE.NEXT");
    if (worker) take_out(&worker->link);
    else worker = allocate(sizeof *worker);
    put_last(&worker->link, &workers);
    worker->client = RM_GetClientId(ctx);
    worker->count = count;
    set_classes(ctx, worker, mask);
    if (next_call(worker)) return reply_with_calls(ctx, worker);
    worker->blocked = RM_BlockClient(ctx, on_worker_woken, NULL, NULL, 0);
    RM_SetDisconnectCallback(worker->blocked, on_worker_unblocked);
    return OK;
}

/* Finds the call with an id from EDGE.NEXT that a worker has; false if this is no id. */
static bool find_call(const String *id, Call **call) {
    char *dash, *end;
    uint64_t client = strtoull(RM_StringPtrLen(id, NULL), &dash, 10);
    uint64_t sequence = *dash == '-' ? strtoull(dash + 1, &end, 10) : 0;
    if (*dash != '-' || *end) return false;
    *call = call_of(client);
    if (*call && ((*call)->sequence != sequence || (*call)->state != TAKEN)) *call = NULL;
    return true;
}

static bool is_reply(String *payload, Reader *in) {
    *in = read_from(payload);
    return walk(in, NULL, 0) && (in->at == in->end || wrong(in, "it goes on after its end"));
}

static int refuse_payload(Ctx *ctx, const Reader *in) {
    return RM_ReplyWithError(ctx, say("ERR malformed reply, before byte %td: %s", in->at - in->start, in->wrong));
}

static Answer *answer_with(String *payload) {
    Answer *answer = allocate(sizeof *answer);
    RM_RetainString(NULL, answer->payload = payload);
    return answer;
}

static int edge_reply(Ctx *ctx, String **argv, int argc) {
    (void)argc;
    if (!permitted(ctx)) return OK;
    Call *call;
    if (!find_call(argv[1], &call))
        return RM_ReplyWithError(ctx, "ERR EDGE.REPLY takes the id of a call, from EDGE.NEXT");
    if (!call) return RM_ReplyWithLongLong(ctx, 0);
    Reader in;
    if (!is_reply(argv[2], &in)) {
        fail(ctx, call, say("ERR the edge worker sent a malformed reply to %s: %s", call->name, in.wrong));
        return refuse_payload(ctx, &in);
    }
    call->class->delivered++;
    answer_call(ctx, call, answer_with(argv[2]));
    return RM_ReplyWithLongLong(ctx, 1);
}

/* ---- Hooks ---- */

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
    int count = 0, *flags = NULL, *at = argc > 1 ? RM_GetCommandKeysWithFlags(ctx, argv + 1, argc - 1, &count, &flags) : NULL;
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
            return RM_ReplyWithError(ctx, say("NOPERM this user has no permissions to run '%.63s' on these keys", text));
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
    if (!find_call(argv[1], &call)) return RM_ReplyWithError(ctx, "ERR EDGE.CALL takes the id of a call, from EDGE.NEXT");
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
    (void)argc;
    if (!permitted(ctx)) return OK;
    if (cannot_block(ctx)) return refuse_to_block(ctx, "EDGE.EVENTS");
    long long after;
    if (RM_StringToLongLong(argv[2], &after) != OK || after < 0)
        return RM_ReplyWithError(ctx, "ERR EDGE.EVENTS takes the number of an event");
    Hook *hook = hook_of(argv[1]);
    if (!hook || hook->kind == HOOK) return RM_ReplyWithError(ctx, "ERR there is no such hook, or it has no events");
    uint64_t client = RM_GetClientId(ctx);
    for EACH(Hook, other, hooks)
        if (other->reader == client && other != hook) begin_unread(ctx, other);
    if (hook->reader != client) wake_reader(hook);
    stop_hook_timer(ctx, hook);
    hook->reader = client;
    hook->after = (uint64_t)after;
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

static void on_info(Info *info, int for_crash_report) {
    (void)for_crash_report;
    if (RM_InfoAddSection(info, "switchboard") != OK) return;
    for (Class *class = classes; class < classes + class_count; class++) {
        int waiting = 0;
        for EACH(Worker, worker, workers) waiting += worker->blocked && serves(worker, class);
        RM_InfoAddFieldCString(info, class->name, say(
            "workers=%lld,waiting=%d,queued=%lld,in_flight=%lld,delivered=%lld,lost=%lld,timed_out=%lld",
            class->workers, waiting, class->queued, class->in_flight, class->delivered, class->lost, class->timed_out));
    }
    long long queued = 0, lost = 0;
    for EACH(Hook, hook, hooks) queued += hook->queued, lost += hook->lost;
    RM_InfoAddFieldCString(info, "hooked", say("hooks=%d,linked=%d,events=%d,queued=%lld,lost=%lld", hook_counts[HOOK],
                                               hook_counts[LINKED], hook_counts[EVENTS], queued, lost));
}

/* ---- Loading ---- */

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

typedef struct { const char *name; CommandFn function; int arity; const char *flags, *categories; } Own;

static bool register_all(Ctx *ctx) {
    static const char flags[] = "deny-script no-monitor no-slowlog allow-stale", categories[] = "admin dangerous";
    static const char quiet_flags[] = "write deny-script no-monitor no-slowlog";
    const Own all[] = {
        {"EDGE.NEXT", edge_next, -3, flags, categories},
        {"EDGE.REPLY", edge_reply, 3, flags, categories},
        {"EDGE.HOOK", edge_hook, 3, flags, categories},
        {"EDGE.UNHOOK", edge_unhook, 2, flags, categories},
        {"EDGE.EVENTS", edge_events, 3, flags, categories},
        {"EDGE.DONE", edge_done, -3, flags, categories},
        {"EDGE.JOIN", edge_join, 1, flags, categories},
        {"EDGE.CALL", edge_call, -2, quiet_flags, categories},
        {"EDGE.QUIET", edge_quiet, -2, "write deny-script no-monitor no-slowlog getkeys-api", categories},
        {"EDGE.READ", edge_read, -2, "readonly getkeys-api", "read"},
        {"EDGE.WRITE", edge_write, -2, "write getkeys-api", "write"},
    };
    for (const Own *own = all; own < all + sizeof all / sizeof *all; own++) {
        int has_keys = strstr(own->flags, "getkeys-api") != NULL;
        if (RM_CreateCommand(ctx, own->name, own->function, own->flags, has_keys * 2, has_keys * 2, has_keys) != OK)
            REJECT("%s is another module's command", own->name);
        if (!describe(ctx, own->name, own->arity, own->categories)) return false;
    }
    for (int i = 0; i < command_count; i++)
        if (!register_command(ctx, &commands[i])) return false;
    return RM_SubscribeToServerEvent(ctx, (ServerEvent){CLIENT_CHANGE_EVENT, 1}, on_client_change) == OK &&
           RM_SubscribeToServerEvent(ctx, (ServerEvent){LOADING_EVENT, 1}, on_loading) == OK &&
           RM_RegisterInfoFunc(ctx, on_info) == OK;
}

__attribute__((visibility("default"))) int RedisModule_OnLoad(Ctx *ctx, String **argv, int argc) {
    /* If the module is loaded a second time, these are the variables of the first: do not change them. */
    if (!look_up_api(ctx) || RM_IsModuleNameBusy("rededge")) return FAILED;
    RM_SetModuleAttribs(ctx, "rededge", 1, 1);
    calls = RM_CreateDict(NULL);
    known_commands = RM_CreateDict(NULL);
    joined = RM_CreateDict(NULL);
    general = RM_GetDetachedThreadSafeContext(ctx);
    class_count = command_count = 0; /* an earlier load may have failed */
    max_call_bytes = 0;
    return read_arguments(ctx, argv, argc) && register_all(ctx) ? OK : FAILED;
}

/* Unloading is refused, because clients may be blocked in the module. */
__attribute__((visibility("default"))) int RedisModule_OnUnload(Ctx *ctx) { return (void)ctx, FAILED; }
