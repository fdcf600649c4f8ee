/* The part of the Redis module API that the edge module uses, and small helper functions. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- The module API, looked up by name when the module is loaded: redismodule.h is not needed ---- */

typedef struct RedisModuleCtx Ctx;
typedef struct RedisModuleString String;
typedef struct RedisModuleBlockedClient Blocked;
typedef struct RedisModuleCommand Registered;
typedef struct RedisModuleUser User;
typedef struct RedisModuleKey Key;
typedef struct RedisModuleDict Dict;
typedef struct RedisModuleInfoCtx Info;
typedef struct RedisModuleCallReply Reply;
typedef struct RedisModuleCommandFilter Filter;
typedef struct RedisModuleCommandFilterCtx Filtered;
typedef int (*CommandFn)(Ctx *, String **, int);
typedef int (*KeyspaceFn)(Ctx *, int, const char *, String *);
typedef void (*FreeFn)(Ctx *, void *);
typedef struct { uint64_t id, data_version; } ServerEvent;
typedef struct { uint64_t version, flags, id; } ClientInfo; /* the first fields of RedisModuleClientInfo */
typedef struct { int version; size_t entry, key_spec, argument; } DetailsVersion;
typedef struct { const DetailsVersion *version; const char *summary, *complexity, *since; void *history;
                 const char *tips; int arity; void *key_specs, *arguments; } Details; /* RedisModuleCommandInfo */

enum { OK, FAILED };
enum { CTX_LUA = 1 << 0, CTX_MULTI = 1 << 1, CTX_REPLICA = 1 << 3, CTX_REPLICATED = 1 << 12, CTX_LOADING = 1 << 13,
       CTX_DENY_BLOCKING = 1 << 21, CTX_RESP3 = 1 << 22 };
enum { KEY_READ = 1 << 0 | 1 << 4, KEY_WRITE = 1 << 2 | 1 << 5, KEY_READ_WRITE = 1 << 1 | 1 << 4 | 1 << 5 };
enum { ROLE_CHANGED_EVENT, LOADING_EVENT = 3, CLIENT_CHANGE_EVENT };
enum { NOW_MASTER, CLIENT_DISCONNECTED, LOADING_ENDED = 3 };
enum { NOTIFY_ALL = 0x7fc | 1 << 11 | 1 << 13 }; /* all data types, expired, evicted, missed, those of modules */
enum { NOTIFY_STREAM = 1 << 10, NOTIFY_NEW = 1 << 14 };
enum { OPEN_TO_LOOK = 1 << 0 | 1 << 16 | 1 << 17 | 1 << 18 }; /* read; no touch, no event keymiss, no statistics */
enum { REPLY_STRING, REPLY_ERROR, REPLY_INTEGER, REPLY_ARRAY };
enum { FILTER_NOT_OWN_CALLS = 1 };

#define REQUIRED_API(X)                                                                                              \
    X(int, IsModuleNameBusy, (const char *)) X(void, SetModuleAttribs, (Ctx *, const char *, int, int))              \
    X(void, Log, (Ctx *, const char *, const char *, ...)) X(Registered *, GetCommand, (Ctx *, const char *))        \
    X(int, CreateCommand, (Ctx *, const char *, CommandFn, const char *, int, int, int))                             \
    X(int, SetCommandInfo, (Registered *, const Details *)) X(int, RegisterInfoFunc, (Ctx *, void (*)(Info *, int))) \
    X(int, SubscribeToServerEvent, (Ctx *, ServerEvent, void (*)(Ctx *, ServerEvent, uint64_t, void *)))             \
    X(int, SubscribeToKeyspaceEvents, (Ctx *, int, KeyspaceFn))                                           \
    X(long long, CallReplyInteger, (Reply *)) X(const char *, CallReplyProto, (Reply *, size_t *))                   \
    X(Reply *, Call, (Ctx *, const char *, const char *, ...)) X(void, FreeCallReply, (Reply *))                     \
    X(int, CallReplyType, (Reply *)) X(size_t, CallReplyLength, (Reply *))                                           \
    X(Reply *, CallReplyArrayElement, (Reply *, size_t)) X(const char *, CallReplyStringPtr, (Reply *, size_t *))    \
    X(int, ReplyWithCallReply, (Ctx *, Reply *)) X(Ctx *, GetDetachedThreadSafeContext, (Ctx *))                     \
    X(Key *, OpenKey, (Ctx *, String *, int)) X(void, CloseKey, (Key *)) X(int, KeyType, (Key *))                    \
    X(int, SelectDb, (Ctx *, int)) X(int *, GetCommandKeysWithFlags, (Ctx *, String **, int, int *, int **))         \
    X(void, Free, (void *)) X(int, SetModuleUserACL, (User *, const char *))                                         \
    X(String *, GetClientUserNameById, (Ctx *, uint64_t)) X(int, UnregisterCommandFilter, (Ctx *, Filter *))         \
    X(Filter *, RegisterCommandFilter, (Ctx *, void (*)(Filtered *), int))                                           \
    X(int, CommandFilterArgsCount, (Filtered *))                                                                     \
    X(String *, CommandFilterArgGet, (Filtered *, int)) X(int, CommandFilterArgInsert, (Filtered *, int, String *))  \
    X(int, InfoAddSection, (Info *, const char *)) X(int, InfoAddFieldCString, (Info *, const char *, const char *)) \
    X(int, GetContextFlags, (Ctx *)) X(unsigned long long, GetClientId, (Ctx *))         \
    X(int, GetSelectedDb, (Ctx *)) X(String *, GetCurrentUserName, (Ctx *)) X(void, FreeModuleUser, (User *))        \
    X(User *, GetModuleUserFromUserName, (String *)) X(int, ACLCheckCommandPermissions, (User *, String **, int))    \
    X(int, IsKeysPositionRequest, (Ctx *)) X(void, KeyAtPosWithFlags, (Ctx *, int, int))                             \
    X(const char *, StringPtrLen, (const String *, size_t *)) X(int, StringToLongLong, (const String *, long long *)) \
    X(String *, CreateString, (Ctx *, const char *, size_t)) X(void, RetainString, (Ctx *, String *))                \
    X(void, FreeString, (Ctx *, String *)) X(Dict *, CreateDict, (Ctx *))                                            \
    X(int, DictSetC, (Dict *, void *, size_t, void *)) X(int, DictDelC, (Dict *, void *, size_t, void *))            \
    X(void *, DictGetC, (Dict *, void *, size_t, int *)) X(int, StopTimer, (Ctx *, uint64_t, void **))               \
    X(uint64_t, CreateTimer, (Ctx *, long long, FreeFn, void *)) X(int, UnblockClient, (Blocked *, void *))          \
    X(Blocked *, BlockClient, (Ctx *, CommandFn, CommandFn, FreeFn, long long))                                      \
    X(void, SetDisconnectCallback, (Blocked *, void (*)(Ctx *, Blocked *)))                                          \
    X(void *, GetBlockedClientPrivateData, (Ctx *)) X(int, BlockedClientMeasureTimeStart, (Blocked *))               \
    X(int, BlockedClientMeasureTimeEnd, (Blocked *)) X(int, ReplyWithError, (Ctx *, const char *))                   \
    X(int, ReplyWithSimpleString, (Ctx *, const char *)) X(int, ReplyWithLongLong, (Ctx *, long long))               \
    X(int, ReplyWithDouble, (Ctx *, double)) X(int, ReplyWithBool, (Ctx *, int)) X(int, ReplyWithNull, (Ctx *))      \
    X(int, ReplyWithBigNumber, (Ctx *, const char *, size_t)) X(int, ReplyWithString, (Ctx *, String *))             \
    X(int, ReplyWithStringBuffer, (Ctx *, const char *, size_t)) X(int, ReplyWithNullArray, (Ctx *))                 \
    X(int, ReplyWithVerbatimStringType, (Ctx *, const char *, size_t, const char *))                                 \
    X(int, ReplyWithArray, (Ctx *, long)) X(int, ReplyWithMap, (Ctx *, long)) X(int, ReplyWithSet, (Ctx *, long))
#define OPTIONAL_API(X) /* Redis 7.2 and newer */                                                                     \
    X(int, SetCommandACLCategories, (Registered *, const char *)) X(void, SetContextUser, (Ctx *, const User *))     \
    X(unsigned long long, CommandFilterGetClientId, (Filtered *))

#define DECLARE(type, name, parameters) static type(*RM_##name) parameters;
REQUIRED_API(DECLARE)
OPTIONAL_API(DECLARE)

#define LOOK_UP(type, name, parameters) get_api("RedisModule_" #name, (void *)&RM_##name);
#define LOOK_UP_REQUIRED(type, name, parameters) found &= get_api("RedisModule_" #name, (void *)&RM_##name) == OK;

/* Returns whether all required functions were found. */
static bool look_up_api(Ctx *ctx) {
    int (*get_api)(const char *, void *) = (int (*)(const char *, void *))((void **)ctx)[0];
    bool found = true;
    REQUIRED_API(LOOK_UP_REQUIRED)
    OPTIONAL_API(LOOK_UP)
    return found;
}

/* ---- Helpers ---- */

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) abort();
    return memory;
}

static char *copy_text(const char *text, size_t length) { return memcpy(allocate(length + 1), text, length); }

/* Formats a text, which is valid until the next call. */
__attribute__((format(printf, 1, 2))) static const char *say(const char *format, ...) {
    static char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* ---- Rings: circular lists of structures whose first member is `Link link` ---- */

typedef struct Link { struct Link *prev, *next; } Link;

/* for EACH(Type, item, head): `item` may be taken out of the ring in the loop. */
#define EACH(type, item, ring) \
    (type *item = (type *)(ring).next, *next; next = (type *)item->link.next, &item->link != &(ring); item = next)

static void take_out(Link *link) {
    link->prev->next = link->next;
    link->next->prev = link->prev;
}

static void put_last(Link *link, Link *ring) {
    *link = (Link){ring->prev, ring};
    link->prev->next = ring->prev = link;
}
