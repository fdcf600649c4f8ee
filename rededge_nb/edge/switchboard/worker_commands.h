/* EDGE.NEXT and EDGE.REPLY, with which a worker takes calls and answers them. */
#pragma once
#include "client_commands.h"

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
    worker->doubted = false;
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
