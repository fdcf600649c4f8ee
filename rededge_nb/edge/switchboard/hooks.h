/* Hooks: commands of clients that a gear answers or that wait for a gear, and keyspace events for gears.
 *
 * Each hook has one of three kinds:
 *
 *     hook    a worker answers the command. It may have the original command executed, with EDGE.CALL.
 *     linked  the command is executed at once; its reply waits until the gear has processed the events that it caused.
 *     events  keyspace events, for which nobody waits.
 *
 * While there is a hook of one of the first two kinds, a command filter puts EDGE.READ or EDGE.WRITE before each
 * command that a hook may be interested in. The handlers of these look the hooks up again by name and keys: in MULTI,
 * the filter runs when a command is queued, and the hooks may have changed until EXEC.
 *
 * Events wait in one queue for each hook. A reader (EDGE.EVENTS) gets the oldest, and they stay in the queue until
 * EDGE.DONE: if the reader dies, the next one gets them again.
 */
#pragma once
#include "known_commands.h"
#include "workers.h"

enum { MAX_EVENTS = 100000, READ_AT_ONCE = 100 };

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
    bool with_value; /* whether the reader gets the value of the first event's key, too */
    long long unserved_since;
    Blocked *blocked; /* the reader, while it waits */
    uint64_t timer;   /* runs while there is no reader */
} Hook;

static Link hooks = {&hooks, &hooks};
static int hook_counts[3];
static Dict *joined;             /* by client id: connections of workers */
static uint32_t interesting[32];      /* by first letter: lengths of the names of commands that have hooks */
static Filter *filter;
static bool subscribed;
static int unheard;       /* > 0: commands are executed that raise no events for gears */
static uint64_t last_event;
static Class *hook_class; /* the class of hooked calls */
static Ctx *general;      /* a context for functions that need one where there is none */
typedef struct { String **argv; int argc; Call *call; } Cause;
static Cause *cause; /* the command that is executed now, and who waits */

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
