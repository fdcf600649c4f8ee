/* Workers: the connections that take calls, and what happens to calls when they come and go. */
#pragma once
#include "calls.h"

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

/* Lets all waiting workers ask again. When a process dies, its connections close one after the other; a call that one
 * of the others got meanwhile would be lost, although nobody has begun it. Only those that live ask again. */
static void doubt_others(void) {
    for EACH(Worker, worker, workers) {
        worker->doubted |= worker->blocked || worker->woken;
        worker->woken = false;
        if (worker->blocked) RM_UnblockClient(worker->blocked, NULL);
        worker->blocked = NULL;
    }
}

/* A worker that dies while it is busy is not a blocked client, so only the event of its client reports its death. */
static void on_worker_gone(Ctx *ctx, uint64_t client) {
    Worker *worker = worker_of(client);
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
    doubt_others();
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
        while (call->state != QUEUED) call = (Call *)call->link.next;
        if (!oldest || call->sequence < oldest->sequence) oldest = call;
    }
    return oldest;
}

static int reply_with_calls(Ctx *ctx, Worker *worker) {
    Call *batch[MAX_BATCH];
    int size = 0;
    for (Call *call; size < worker->count && (call = next_call(worker)); batch[size++] = call) {
        call->worker = worker;
        call->state = TAKEN;
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
    if (worker->doubted) return RM_ReplyWithNull(ctx);
    reply_with_calls(ctx, worker);
    dispatch();
    return OK;
}

static bool queue_is_full(Ctx *ctx, Class *class) {
    if (class->queued < class->maxqueue || waiting_for(class)) return false;
    RM_ReplyWithError(ctx, say("BUSYWORKER %lld '%s' calls wait already", class->queued, class->name));
    return true;
}

static int queue_call(Ctx *ctx, Call *call) {
    block_caller(ctx, call);
    call->class->queued++;
    dispatch();
    watch(ctx, call);
    return OK;
}
