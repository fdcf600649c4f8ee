/* The edge module: a switchboard between Redis clients and edge workers.
 *
 * It registers command names, blocks the client that calls one, passes the call to a worker that waits for one, and
 * sends the worker's answer to the client. It does not know what the commands do.
 *
 * Module arguments, in any order and any number; each value is one word after its keyword:
 *
 *     CLASS name,timeout_ms,grace_ms,maxqueue
 *     CMD   NAME,class,arity,flags,categories,keys
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
#include <limits.h>
#include <strings.h>

#include "resp_reply.h"

enum { MAX_CLASSES = 32, MAX_TOKENS = 16, MAX_BATCH = 1024 };

typedef struct {
    char name[64];
    long long timeout_ms, grace_ms, maxqueue;
    Link calls;                        /* calls that are not answered yet, oldest first */
    long long workers, unserved_since; /* connections that serve it; when the last one closed */
    long long queued, in_flight, delivered, lost, timed_out;
} Class;

typedef struct { enum { SKIP, KEY, REST, COUNTED } kind; int access; char *word; } Token;

typedef struct {
    char name[64], *flags, *categories;
    Class *class;
    int arity, token_count;
    Token tokens[MAX_TOKENS];
} Command;

typedef struct {
    Link link; /* in `workers`, in the order of their last EDGE.NEXT */
    uint64_t client;
    uint32_t classes; /* bit n: serves classes[n] */
    long long count;  /* of its last EDGE.NEXT */
    Blocked *blocked; /* while it waits */
    bool woken;       /* unblocked, but Redis has not called on_worker_woken yet */
} Worker;

typedef struct {
    Link link;
    uint64_t client, sequence, timer;
    Class *class;
    const char *name;
    Blocked *blocked;
    Worker *worker; /* that took it; NULL: it is queued, and has the arguments below */
    int resp, db, argc;
    String **argv, *user;
    long long queued_at, deadline;
} Call;

typedef struct { String *payload; char error[256]; } Answer;

static Class classes[MAX_CLASSES];
static Command *commands;
static int class_count, command_count;
static long long max_call_bytes; /* 0: no limit. A worker could not receive more than its output buffer limit */
static Dict *calls; /* by client id: a client is blocked in one call at a time */
static Link workers = {&workers, &workers};
static uint64_t last_sequence;

static Call *call_of(uint64_t client) { return RM_DictGetC(calls, &client, sizeof client, NULL); }

static Worker *worker_of(uint64_t client) {
    for EACH(Worker, worker, workers)
        if (worker->client == client) return worker;
    return NULL;
}

static Class *class_named(const char *name) {
    for (Class *class = classes; class < classes + class_count; class++)
        if (!strcmp(class->name, name)) return class;
    return NULL;
}

static Command *command_named(const char *name) {
    for (Command *command = commands; command < commands + command_count; command++)
        if (!strcasecmp(command->name, name)) return command;
    return NULL;
}

/* ---- Calls ---- */

static void free_arguments(Call *call) {
    if (!call->argv) return;
    for (int i = 0; i < call->argc; i++) RM_FreeString(NULL, call->argv[i]);
    RM_FreeString(NULL, call->user);
    free(call->argv);
    call->argv = NULL;
}

/* Ends a call: the caller gets `answer`, or has disconnected if that is NULL. */
static void finish(Ctx *ctx, Call *call, Answer *answer) {
    *(call->worker ? &call->class->in_flight : &call->class->queued) -= 1;
    take_out(&call->link);
    RM_DictDelC(calls, &call->client, sizeof call->client, NULL);
    if (call->timer) RM_StopTimer(ctx, call->timer, NULL);
    RM_BlockedClientMeasureTimeEnd(call->blocked);
    RM_UnblockClient(call->blocked, answer);
    free_arguments(call);
    free(call);
}

static void fail(Ctx *ctx, Call *call, const char *error) {
    Answer *answer = allocate(sizeof *answer);
    snprintf(answer->error, sizeof answer->error, "%s", error);
    finish(ctx, call, answer);
}

static void on_timer(Ctx *ctx, void *data);

/* Ends the call if it is overdue; otherwise sets its timer to the next time at which it can be. */
static void watch(Ctx *ctx, Call *call) {
    Class *class = call->class;
    long long now = now_ms(), give_up = LLONG_MAX;
    long long alone_since = call->queued_at > class->unserved_since ? call->queued_at : class->unserved_since;
    if (!call->worker && class->workers == 0) give_up = alone_since + class->grace_ms;
    if (now >= call->deadline) {
        class->timed_out++;
        fail(ctx, call, say("TIMEOUT %s had no answer within %lld ms", call->name, class->timeout_ms));
    } else if (now >= give_up) {
        fail(ctx, call, say("NOWORKER no edge worker serves '%s' for %s: is one running?", class->name, call->name));
    } else {
        long long due = give_up < call->deadline ? give_up : call->deadline;
        if (call->timer) RM_StopTimer(ctx, call->timer, NULL);
        call->timer = due == LLONG_MAX ? 0 : RM_CreateTimer(ctx, due - now, on_timer, call);
    }
}

static void on_timer(Ctx *ctx, void *data) { /* the call exists: a call that ends stops its timer */
    ((Call *)data)->timer = 0;
    watch(ctx, data);
}

static void on_caller_gone(Ctx *ctx, Blocked *blocked) {
    Call *call = call_of(RM_GetClientId(ctx));
    if (call && call->blocked == blocked) finish(ctx, call, NULL);
}

/* ---- Workers ---- */

static bool serves(const Worker *worker, const Class *class) { return worker->classes >> (class - classes) & 1; }

static Worker *waiting_for(const Class *class) {
    for EACH(Worker, worker, workers)
        if (worker->blocked && serves(worker, class)) return worker;
    return NULL;
}

/* Wakes a waiting worker for each queued call. The worker takes its calls in on_worker_woken, as many as it asked
 * for. Until then no call is lost if it dies, and a second worker that was woken may find no call left. */
static void dispatch(void) {
    for (Class *class = classes; class < classes + class_count; class++) {
        long long calls_left = class->queued;
        for EACH(Worker, worker, workers) calls_left -= worker->woken && serves(worker, class);
        for (Worker *worker; calls_left > 0 && (worker = waiting_for(class)); calls_left--) {
            RM_UnblockClient(worker->blocked, NULL);
            worker->blocked = NULL;
            worker->woken = true;
        }
    }
}

static void set_classes(Ctx *ctx, Worker *worker, uint32_t mask) {
    uint32_t changed = worker->classes ^ mask;
    worker->classes = mask;
    for (Class *class = classes; class < classes + class_count; class++) {
        if (!(changed >> (class - classes) & 1)) continue;
        class->workers += serves(worker, class) ? 1 : -1;
        if (class->workers > 0) continue;
        class->unserved_since = now_ms();
        for EACH(Call, call, class->calls) watch(ctx, call);
    }
}

/* A worker that dies while it is busy is not a blocked client, so only this event reports its death. */
static void on_client_change(Ctx *ctx, Event event, uint64_t what, void *data) {
    (void)event;
    Worker *worker = what == CLIENT_DISCONNECTED ? worker_of(((ClientInfo *)data)->id) : NULL;
    if (!worker) return;
    for (Class *class = classes; class < classes + class_count; class++) {
        for EACH(Call, call, class->calls) {
            if (call->worker != worker) continue;
            class->lost++;
            fail(ctx, call, say("WORKERLOST the edge worker died before it answered %s; not retried", call->name));
        }
    }
    if (worker->blocked) RM_UnblockClient(worker->blocked, NULL);
    take_out(&worker->link);
    set_classes(ctx, worker, 0);
    free(worker);
    dispatch();
}

/* Called if Redis unblocks a worker because the server became a replica. A disconnection is reported above first. */
static void on_worker_unblocked(Ctx *ctx, Blocked *blocked) {
    Worker *worker = worker_of(RM_GetClientId(ctx));
    if (!worker || worker->blocked != blocked) return;
    worker->blocked = NULL;
    RM_UnblockClient(blocked, NULL);
}

static Call *next_call(const Worker *worker) {
    Call *oldest = NULL;
    for (Class *class = classes; class < classes + class_count; class++) {
        if (!serves(worker, class) || class->queued == 0) continue;
        Call *call = (Call *)class->calls.next;
        while (call->worker) call = (Call *)call->link.next;
        if (!oldest || call->sequence < oldest->sequence) oldest = call;
    }
    return oldest;
}

static int reply_with_calls(Ctx *ctx, Worker *worker) {
    Call *batch[MAX_BATCH];
    int size = 0;
    for (Call *call; size < worker->count && (call = next_call(worker)); batch[size++] = call) {
        call->worker = worker;
        call->class->queued--;
        call->class->in_flight++;
    }
    if (size == 0) return RM_ReplyWithNull(ctx);
    RM_ReplyWithArray(ctx, size);
    for (int i = 0; i < size; i++) {
        Call *call = batch[i];
        const char *id = say("%llu-%llu", (unsigned long long)call->client, (unsigned long long)call->sequence);
        RM_ReplyWithArray(ctx, 7);
        RM_ReplyWithStringBuffer(ctx, id, strlen(id));
        RM_ReplyWithStringBuffer(ctx, call->class->name, strlen(call->class->name));
        RM_ReplyWithLongLong(ctx, (long long)call->client);
        RM_ReplyWithLongLong(ctx, call->resp);
        RM_ReplyWithLongLong(ctx, call->db);
        RM_ReplyWithString(ctx, call->user);
        RM_ReplyWithArray(ctx, call->argc);
        for (int j = 0; j < call->argc; j++) RM_ReplyWithString(ctx, call->argv[j]);
        free_arguments(call);
        RM_BlockedClientMeasureTimeStart(call->blocked);
    }
    return OK;
}

static int on_worker_woken(Ctx *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    Worker *worker = worker_of(RM_GetClientId(ctx));
    worker->woken = false;
    reply_with_calls(ctx, worker);
    dispatch();
    return OK;
}

/* ---- Commands ---- */

static int on_answered(Ctx *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    Answer *answer = RM_GetBlockedClientPrivateData(ctx);
    if (!answer->payload) return RM_ReplyWithError(ctx, answer->error);
    Reader in = read_from(answer->payload);
    walk(&in, ctx, 0);
    return OK;
}

static void free_answer(Ctx *ctx, void *data) {
    (void)ctx;
    if (((Answer *)data)->payload) RM_FreeString(NULL, ((Answer *)data)->payload);
    free(data);
}

static bool cannot_block(Ctx *ctx) {
    return RM_GetContextFlags(ctx) & (CTX_LUA | CTX_MULTI | CTX_REPLICATED | CTX_DENY_BLOCKING);
}

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
    if (!strncasecmp(name, "RG.", 3))
        return RM_ReplyWithError(ctx, "Can not run gears inside a multi exec, lua, or when blocking is not allowed");
    return RM_ReplyWithError(ctx, say("ERR %s cannot run in MULTI, in a script or where a client cannot wait", name));
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
    uint64_t client = RM_GetClientId(ctx);
    if (cannot_block(ctx) || call_of(client)) return refuse_to_block(ctx, command->name);
    if (is_too_long(argv, argc))
        return RM_ReplyWithError(ctx, say("ERR %s has more than %lld bytes, the limit of this server for one command",
                                          command->name, max_call_bytes));
    Class *class = command->class;
    if (class->queued >= class->maxqueue && !waiting_for(class))
        return RM_ReplyWithError(ctx, say("BUSYWORKER %lld '%s' calls wait already", class->queued, class->name));
    Call *call = allocate(sizeof *call);
    *call = (Call){.client = client, .sequence = ++last_sequence, .class = class, .name = command->name, .argc = argc,
                   .resp = RM_GetContextFlags(ctx) & CTX_RESP3 ? 3 : 2, .db = RM_GetSelectedDb(ctx),
                   .user = RM_GetCurrentUserName(ctx), .argv = allocate((size_t)argc * sizeof *argv),
                   .queued_at = now_ms()};
    for (int i = 0; i < argc; i++) RM_RetainString(NULL, call->argv[i] = argv[i]);
    call->deadline = class->timeout_ms ? call->queued_at + class->timeout_ms : LLONG_MAX;
    call->blocked = RM_BlockClient(ctx, on_answered, NULL, free_answer, 0);
    RM_SetDisconnectCallback(call->blocked, on_caller_gone);
    RM_DictSetC(calls, &call->client, sizeof call->client, call);
    put_last(&call->link, &class->calls);
    class->queued++;
    dispatch();
    watch(ctx, call);
    return OK;
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

static int edge_reply(Ctx *ctx, String **argv, int argc) {
    (void)argc;
    if (!permitted(ctx)) return OK;
    char *dash, *end;
    uint64_t client = strtoull(RM_StringPtrLen(argv[1], NULL), &dash, 10);
    uint64_t sequence = *dash == '-' ? strtoull(dash + 1, &end, 10) : 0;
    if (*dash != '-' || *end) return RM_ReplyWithError(ctx, "ERR EDGE.REPLY takes the id of a call, from EDGE.NEXT");
    Call *call = call_of(client);
    if (!call || call->sequence != sequence || !call->worker) return RM_ReplyWithLongLong(ctx, 0);
    Reader in = read_from(argv[2]);
    if (!walk(&in, NULL, 0) || (in.at < in.end && !wrong(&in, "it goes on after its end"))) {
        fail(ctx, call, say("ERR the edge worker sent a malformed reply to %s: %s", call->name, in.wrong));
        return RM_ReplyWithError(ctx, say("ERR malformed reply, before byte %td: %s", in.at - in.start, in.wrong));
    }
    Answer *answer = allocate(sizeof *answer);
    RM_RetainString(NULL, answer->payload = argv[2]);
    call->class->delivered++;
    finish(ctx, call, answer);
    return RM_ReplyWithLongLong(ctx, 1);
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
}

/* ---- Loading ---- */

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

static bool read_arguments(Ctx *ctx, String **argv, int argc) {
    commands = allocate((size_t)(argc / 2 + 1) * sizeof *commands);
    for (int i = 0; i < 2 * argc; i += 2) { /* two passes, classes first: commands refer to them */
        const char *keyword = RM_StringPtrLen(argv[i % argc], NULL);
        bool is_class = !strcasecmp(keyword, "CLASS"), is_limit = !strcasecmp(keyword, "MAXCALL");
        if (!is_class && !is_limit && strcasecmp(keyword, "CMD"))
            REJECT("'%s' is neither CLASS nor CMD nor MAXCALL", keyword);
        if (i % argc + 1 == argc) REJECT("%s without a value", keyword);
        const char *value = RM_StringPtrLen(argv[i % argc + 1], NULL);
        if (is_limit && (RM_StringToLongLong(argv[i % argc + 1], &max_call_bytes) != OK || max_call_bytes < 1))
            REJECT("MAXCALL '%s' is not a number of bytes", value);
        if (is_limit) continue;
        if (is_class && i < argc && !add_class(ctx, value)) return false;
        if (!is_class && i >= argc && !add_command(ctx, value)) return false;
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

static bool register_all(Ctx *ctx) {
    static const char flags[] = "deny-script no-monitor no-slowlog allow-stale", categories[] = "admin dangerous";
    if (RM_CreateCommand(ctx, "EDGE.NEXT", edge_next, flags, 0, 0, 0) != OK ||
        RM_CreateCommand(ctx, "EDGE.REPLY", edge_reply, flags, 0, 0, 0) != OK)
        REJECT("EDGE.NEXT or EDGE.REPLY is another module's command");
    if (!describe(ctx, "EDGE.NEXT", -3, categories) || !describe(ctx, "EDGE.REPLY", 3, categories)) return false;
    for (int i = 0; i < command_count; i++)
        if (!register_command(ctx, &commands[i])) return false;
    return RM_SubscribeToServerEvent(ctx, (Event){CLIENT_CHANGE_EVENT, 1}, on_client_change) == OK &&
           RM_RegisterInfoFunc(ctx, on_info) == OK;
}

__attribute__((visibility("default"))) int RedisModule_OnLoad(Ctx *ctx, String **argv, int argc) {
    /* If the module is loaded a second time, these are the variables of the first: do not change them. */
    if (!look_up_api(ctx) || RM_IsModuleNameBusy("rededge")) return FAILED;
    RM_SetModuleAttribs(ctx, "rededge", 1, 1);
    calls = RM_CreateDict(NULL);
    class_count = command_count = 0; /* an earlier load may have failed */
    max_call_bytes = 0;
    return read_arguments(ctx, argv, argc) && register_all(ctx) ? OK : FAILED;
}

/* Unloading is refused, because clients may be blocked in the module. */
__attribute__((visibility("default"))) int RedisModule_OnUnload(Ctx *ctx) { return (void)ctx, FAILED; }
