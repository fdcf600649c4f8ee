/* Calls of clients, from the command to the answer. */
#pragma once
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
    bool doubted;     /* has to ask again before it gets a call: see doubt_others */
} Worker;

typedef struct { String *payload; char error[256]; } Answer; /* one of them */

typedef struct {
    Link link;
    uint64_t client, sequence, timer;
    Class *class;
    char name[64];
    enum { QUEUED, TAKEN, WAITING } state; /* WAITING: there is an answer, but not everything has ended that must */
    Blocked *blocked;
    Worker *worker; /* that took it */
    int resp, db, argc;
    String **argv, *user;
    long long queued_at, deadline;
    Answer *answer;        /* while WAITING */
    long long waits;       /* events and entries that have to be processed before the caller gets its answer */
    bool executed;         /* whether its command was executed, if a gear stands between it and Redis */
    bool overridden;       /* whether a gear has replaced the answer */
} Call;

static Class classes[MAX_CLASSES];
static Command *commands;
static int class_count, command_count;
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

static void free_answer(Ctx *ctx, void *data) {
    (void)ctx;
    Answer *answer = data;
    if (!answer) return;
    if (answer->payload) RM_FreeString(NULL, answer->payload);
    free(answer);
}

static int on_answered(Ctx *ctx, String **argv, int argc) {
    (void)argv, (void)argc;
    Answer *answer = RM_GetBlockedClientPrivateData(ctx);
    if (!answer->payload) return RM_ReplyWithError(ctx, answer->error);
    Reader in = read_from(answer->payload);
    walk(&in, ctx, 0);
    return OK;
}

static void free_arguments(Call *call) {
    for (int i = 0; i < call->argc; i++) RM_FreeString(NULL, call->argv[i]);
    free(call->argv);
    call->argv = NULL;
    call->argc = 0;
}

static void free_call(Call *call) {
    free_arguments(call);
    RM_FreeString(NULL, call->user);
    free_answer(NULL, call->answer);
    free(call);
}

/* Ends a call: the caller gets `answer`, or has disconnected if that is NULL. */
static void finish(Ctx *ctx, Call *call, Answer *answer) {
    *(call->state == QUEUED ? &call->class->queued : &call->class->in_flight) -= 1;
    take_out(&call->link);
    RM_DictDelC(calls, &call->client, sizeof call->client, NULL);
    if (call->timer) RM_StopTimer(ctx, call->timer, NULL);
    RM_BlockedClientMeasureTimeEnd(call->blocked);
    RM_UnblockClient(call->blocked, answer);
    free_call(call);
}

static void fail(Ctx *ctx, Call *call, const char *error) {
    Answer *answer = allocate(sizeof *answer);
    snprintf(answer->error, sizeof answer->error, "%s", error);
    finish(ctx, call, answer);
}

static void watch(Ctx *ctx, Call *call);

/* Gives the caller the answer of its call, at once or as soon as nothing is left that it has to wait for. */
static void answer_call(Ctx *ctx, Call *call, Answer *answer) {
    if (call->overridden) {
        free_answer(NULL, answer);
        answer = call->answer;
        call->answer = NULL;
    }
    if (call->waits == 0) {
        finish(ctx, call, answer);
        return;
    }
    call->state = WAITING;
    call->executed = true;
    call->worker = NULL;
    call->answer = answer;
    watch(ctx, call);
}

/* Notes that something has been processed for which the call with this sequence number waits, if it still exists. */
static void end_wait(Ctx *ctx, uint64_t client, uint64_t sequence) {
    Call *call = call_of(client);
    if (!call || call->sequence != sequence || --call->waits > 0 || call->state != WAITING) return;
    Answer *answer = call->answer;
    call->answer = NULL;
    finish(ctx, call, answer);
}

static void on_timer(Ctx *ctx, void *data);

/* Ends the call if it is overdue; otherwise sets its timer to the next time at which it can be. */
static void watch(Ctx *ctx, Call *call) {
    Class *class = call->class;
    long long now = now_ms(), give_up = LLONG_MAX;
    long long alone_since = call->queued_at > class->unserved_since ? call->queued_at : class->unserved_since;
    const char *executed = call->executed ? ": it was executed, but a gear that it waits for has not ended" : "";
    if (call->state != TAKEN && class->workers == 0) give_up = alone_since + class->grace_ms;
    if (now >= call->deadline) {
        class->timed_out++;
        fail(ctx, call, say("TIMEOUT %s had no answer within %lld ms%s", call->name, class->timeout_ms, executed));
    } else if (now >= give_up) {
        const char *question = call->executed ? executed : ": is one running?";
        fail(ctx, call, say("NOWORKER no edge worker serves '%s' for %s%s", class->name, call->name, question));
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

static bool cannot_block(Ctx *ctx) {
    return RM_GetContextFlags(ctx) & (CTX_LUA | CTX_MULTI | CTX_REPLICATED | CTX_DENY_BLOCKING) ||
           call_of(RM_GetClientId(ctx));
}

/* A call of the current client. Its arguments are the words before `argv`, which it takes over, and those of `argv`. */
static Call *new_call(Ctx *ctx, Class *class, const char *name, String **before, int extra, String **argv, int argc) {
    Call *call = allocate(sizeof *call);
    *call = (Call){.client = RM_GetClientId(ctx), .sequence = ++last_sequence, .class = class, .argc = extra + argc,
                   .resp = RM_GetContextFlags(ctx) & CTX_RESP3 ? 3 : 2, .db = RM_GetSelectedDb(ctx),
                   .user = RM_GetCurrentUserName(ctx), .argv = allocate((size_t)(extra + argc) * sizeof *argv),
                   .queued_at = now_ms()};
    snprintf(call->name, sizeof call->name, "%s", name);
    for (int i = 0; i < extra; i++) call->argv[i] = before[i];
    for (int i = 0; i < argc; i++) RM_RetainString(NULL, call->argv[extra + i] = argv[i]);
    call->deadline = class->timeout_ms ? call->queued_at + class->timeout_ms : LLONG_MAX;
    return call;
}

/* Blocks the current client until its call is finished. */
static void block_caller(Ctx *ctx, Call *call) {
    call->blocked = RM_BlockClient(ctx, on_answered, NULL, free_answer, 0);
    RM_SetDisconnectCallback(call->blocked, on_caller_gone);
    RM_DictSetC(calls, &call->client, sizeof call->client, call);
    put_last(&call->link, &call->class->calls);
}
