/* Checking a complete RESP value, and sending it to a client in the client's version of the protocol. */
#pragma once
#include <errno.h>

#include "basics.h"

enum { MAX_DEPTH = 32 };

typedef struct { const char *start, *at, *end, *wrong; } Reader;

static bool wrong(Reader *in, const char *reason) {
    if (!in->wrong) in->wrong = reason;
    return false;
}

static bool all_in(const char *text, size_t length, const char *allowed) {
    return length > 0 && strspn(text, allowed) >= length;
}

static bool read_integer(const char *text, size_t length, long long *value) {
    if (!all_in(text, length, "0123456789+-")) return false;
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return errno == 0 && end == text + length;
}

static bool read_double(const char *text, size_t length, double *value) {
    char *end;
    *value = strtod(text, &end);
    bool named = (length == 3 && (!memcmp(text, "inf", 3) || !memcmp(text, "nan", 3))) ||
                 (length == 4 && !memcmp(text, "-inf", 4));
    return (named || all_in(text, length, "0123456789+-.eE")) && end == text + length;
}

/* Reads what follows the first line of $ and =: `length` bytes and CRLF. */
static bool read_bytes(Reader *in, long long length, const char **bytes) {
    if (length < 0 || length > in->end - in->at - 2) return wrong(in, "a length that the payload does not have");
    *bytes = in->at;
    in->at += length + 2;
    return (in->at[-2] == '\r' && in->at[-1] == '\n') || wrong(in, "a string that does not end in CRLF");
}

static bool send_line(Ctx *ctx, const char *line, size_t length, int (*reply)(Ctx *, const char *)) {
    char *text = copy_text(line, length);
    reply(ctx, text);
    free(text);
    return true;
}

#define SEND(reply) (!ctx || (reply) == OK)

/* Checks a value (ctx is NULL), or sends a value that has been checked. */
static bool walk(Reader *in, Ctx *ctx, int depth) {
    if (depth > MAX_DEPTH) return wrong(in, "nested too deep");
    if (in->at == in->end) return wrong(in, "it ends too early");
    char type = *in->at++;
    const char *line = in->at, *bytes;
    while (in->at < in->end && *in->at != '\r' && *in->at != '\n' && *in->at != '\0') in->at++;
    if (in->end - in->at < 2 || memcmp(in->at, "\r\n", 2)) return wrong(in, "a line that does not end in CRLF");
    size_t length = (size_t)(in->at - line), sign = *line == '-' || *line == '+';
    in->at += 2;
    long long number = 0;
    double real;
    bool counted = type != '\0' && strchr(":$=*~%", type);
    if (counted && !read_integer(line, length, &number)) return wrong(in, "a bad integer");
    switch (type) {
    case '+': return !ctx || send_line(ctx, line, length, RM_ReplyWithSimpleString);
    case '-':
        if (length == 0) return wrong(in, "an empty error");
        return !ctx || send_line(ctx, line, length, RM_ReplyWithError);
    case ':': return SEND(RM_ReplyWithLongLong(ctx, number));
    case '_': return length > 0 ? wrong(in, "a bad null") : SEND(RM_ReplyWithNull(ctx));
    case '#':
        if (length != 1 || (*line != 't' && *line != 'f')) return wrong(in, "a bad boolean");
        return SEND(RM_ReplyWithBool(ctx, *line == 't'));
    case '(':
        if (!all_in(line + sign, length - sign, "0123456789")) return wrong(in, "a bad big number");
        return SEND(RM_ReplyWithBigNumber(ctx, line, length));
    case ',':
        if (!read_double(line, length, &real)) return wrong(in, "a bad double");
        return SEND(RM_ReplyWithDouble(ctx, real));
    case '$':
        if (number == -1) return SEND(RM_ReplyWithNull(ctx));
        return read_bytes(in, number, &bytes) && SEND(RM_ReplyWithStringBuffer(ctx, bytes, (size_t)number));
    case '=':
        if (!read_bytes(in, number, &bytes)) return false;
        if (number < 4 || bytes[3] != ':') return wrong(in, "a verbatim string without its format");
        char format[4] = {bytes[0], bytes[1], bytes[2]};
        return SEND(RM_ReplyWithVerbatimStringType(ctx, bytes + 4, (size_t)number - 4, format));
    case '*': case '~': case '%':
        if (type == '*' && number == -1) return SEND(RM_ReplyWithNullArray(ctx));
        if (number < 0 || number > in->end - in->at) return wrong(in, "a length that the payload does not have");
        if (ctx) (type == '*' ? RM_ReplyWithArray : type == '~' ? RM_ReplyWithSet : RM_ReplyWithMap)(ctx, (long)number);
        for (long long left = type == '%' ? 2 * number : number; left > 0; left--)
            if (!walk(in, ctx, depth + 1)) return false;
        return true;
    default: return wrong(in, "an unknown type");
    }
}

static Reader read_from(const String *payload) {
    size_t length;
    const char *bytes = RM_StringPtrLen(payload, &length);
    return (Reader){.start = bytes, .at = bytes, .end = bytes + length};
}

