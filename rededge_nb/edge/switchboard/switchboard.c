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
 * Or, for an instance that only shows what workers report (see reports.h):
 *
 *     INFO name
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
 *     EDGE.EVENTS id after [VALUE]
 *         Blocks until there are events for a hook after the one with that number; returns [number of lost events,
 *         [[sequence, event, key, whether somebody waits, [NAME, argument, ...]], ...]], oldest first. The words are
 *         those of the command that caused it, if that was a client's. Null means: ask again. One connection at a time
 *         reads the events of a hook. With VALUE, a third element is [type, value] of the first event's key at this
 *         moment: the value as GET, LRANGE or HGETALL returns it, for other types only [type].
 *     EDGE.DONE id sequence [payload]
 *         An event has been processed. Whoever waits for it gets the payload as its reply, if there is one. Returns 1,
 *         or 0 if there is no such event.
 *     EDGE.CALL id [argument ...]
 *         Executes the command of a call from a hook, with these arguments, for its caller: with the caller's
 *         permissions, in the caller's database. Events that it causes are waited for like those of the caller.
 *     EDGE.QUIET NAME [argument ...]
 *         Executes a command that raises no events for gears and has no hooks.
 *     EDGE.STREAMS db prefix
 *         Blocks until XADD has created a stream whose name begins so since the last reply to this connection, and
 *         returns 1. Returns at once when it is called first. Null means: ask again.
 *     EDGE.REPORT name [SECTION name | FIELD name value] ...
 *         Shows these fields in INFO, as those of the module with that name (see reports.h), until the connection
 *         closes.
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
 * has taken stay in the queue when a worker dies; all workers that wait then have to ask again, because connections of
 * the same dead process may still be open. When the server becomes a replica, Redis answers blocked clients with
 * UNBLOCKED.
 *
 * Redis 7.0 loses an answer if a client's timeout or CLIENT UNBLOCK happens while its UnblockClient is pending. So no
 * client is blocked with a timeout callback, and calls have timers of this module. UnblockClient is called exactly once
 * for each blocked client, by the function that takes the client out of `calls` or out of its Worker.
 */
#define _POSIX_C_SOURCE 200809L
#include "loading.h"

static void on_client_change(Ctx *ctx, ServerEvent event, uint64_t what, void *data) {
    (void)event;
    if (what != CLIENT_DISCONNECTED) return;
    on_hook_client_gone(ctx, ((ClientInfo *)data)->id);
    on_watcher_gone(((ClientInfo *)data)->id);
    on_reporter_gone(((ClientInfo *)data)->id);
    on_worker_gone(ctx, ((ClientInfo *)data)->id);
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

typedef struct { const char *name; CommandFn function; int arity; const char *flags, *categories; } Own;

static bool register_all(Ctx *ctx) {
    static const char flags[] = "deny-script no-monitor no-slowlog allow-stale", categories[] = "admin dangerous";
    static const char quiet_flags[] = "write deny-script no-monitor no-slowlog";
    const Own all[] = {
        {"EDGE.NEXT", edge_next, -3, flags, categories},
        {"EDGE.REPLY", edge_reply, 3, flags, categories},
        {"EDGE.HOOK", edge_hook, 3, flags, categories},
        {"EDGE.UNHOOK", edge_unhook, 2, flags, categories},
        {"EDGE.EVENTS", edge_events, -3, flags, categories},
        {"EDGE.DONE", edge_done, -3, flags, categories},
        {"EDGE.STREAMS", edge_streams, 3, flags, categories},
        {"EDGE.REPORT", edge_report, -2, flags, categories},
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
    if (!look_up_api(ctx)) return FAILED;
    if (argc == 2 && !strcasecmp(RM_StringPtrLen(argv[0], NULL), "INFO"))
        return load_for_report(ctx, RM_StringPtrLen(argv[1], NULL));
    if (RM_IsModuleNameBusy("rededge")) return FAILED;
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
