/* EDGE.REPORT: what a worker shows in INFO under the name of another module, such as `ai`.
 *
 * Redis puts the module's name before the names of its sections and fields. So the edge module is loaded once more for
 * each such name, with the arguments `INFO name`: that instance has no commands and does nothing but show the report.
 */
#pragma once
#include "client_commands.h"

enum { MAX_REPORTS = 4, MAX_REPORT_WORDS = 256 };

typedef struct {
    char name[64];
    uint64_t client; /* that sent the report, while it is connected */
    int count;
    char **words; /* SECTION name, and FIELD name value, in any number */
} Report;

static Report reports[MAX_REPORTS];
static int report_count;

static Report *report_named(const char *name) {
    for (Report *report = reports; report < reports + report_count; report++)
        if (!strcmp(report->name, name)) return report;
    return NULL;
}

static void forget_report(Report *report) {
    for (int i = 0; i < report->count; i++) free(report->words[i]);
    free(report->words);
    report->words = NULL;
    report->count = 0;
    report->client = 0;
}

/* The report of a worker that has gone is no longer true. */
static void on_reporter_gone(uint64_t client) {
    for (Report *report = reports; report < reports + report_count; report++)
        if (report->client == client) forget_report(report);
}

static void show_report(Info *info, const Report *report) {
    bool shown = false; /* whether the client has asked for the current section */
    for (int i = 0; i < report->count;) {
        if (!strcmp(report->words[i], "SECTION")) {
            shown = RM_InfoAddSection(info, report->words[i + 1]) == OK;
            i += 2;
        } else {
            if (shown) RM_InfoAddFieldCString(info, report->words[i + 1], report->words[i + 2]);
            i += 3;
        }
    }
}

/* Redis does not say for which module it asks, so each has a function of its own. */
static void show_report_0(Info *info, int crash) { (void)crash, show_report(info, &reports[0]); }
static void show_report_1(Info *info, int crash) { (void)crash, show_report(info, &reports[1]); }
static void show_report_2(Info *info, int crash) { (void)crash, show_report(info, &reports[2]); }
static void show_report_3(Info *info, int crash) { (void)crash, show_report(info, &reports[3]); }

/* Loads the module once more, for one report. */
static int load_for_report(Ctx *ctx, const char *name) {
    static void (*const show[MAX_REPORTS])(Info *, int) = {show_report_0, show_report_1, show_report_2, show_report_3};
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof reports->name || report_count == MAX_REPORTS || RM_IsModuleNameBusy(name)) {
        RM_Log(ctx, "warning", "cannot load: INFO '%.63s' is not the name of a module that is not loaded yet", name);
        return FAILED;
    }
    RM_SetModuleAttribs(ctx, name, 1, 1);
    memcpy(reports[report_count].name, name, length + 1);
    return RM_RegisterInfoFunc(ctx, show[report_count++]);
}

static int edge_report(Ctx *ctx, String **argv, int argc) {
    static const char usage[] = "ERR EDGE.REPORT takes: name [SECTION name | FIELD name value] ...";
    if (!permitted(ctx)) return OK;
    Report *report = report_named(RM_StringPtrLen(argv[1], NULL));
    if (!report)
        return RM_ReplyWithError(ctx, "ERR no such report: the edge module was not loaded with INFO and this name");
    if (argc > MAX_REPORT_WORDS) return RM_ReplyWithError(ctx, usage);
    for (int i = 2; i < argc;) {
        const char *word = RM_StringPtrLen(argv[i], NULL);
        i += !strcmp(word, "SECTION") ? 2 : !strcmp(word, "FIELD") ? 3 : MAX_REPORT_WORDS;
        if (i > argc) return RM_ReplyWithError(ctx, usage);
    }
    forget_report(report);
    report->client = RM_GetClientId(ctx);
    report->count = argc - 2;
    report->words = allocate((size_t)(argc - 1) * sizeof *report->words);
    for (int i = 2; i < argc; i++) {
        const char *text = RM_StringPtrLen(argv[i], NULL);
        report->words[i - 2] = copy_text(text, strlen(text));
        for (char *at = report->words[i - 2]; *at; at++)
            if (*at == '\r' || *at == '\n') *at = ' '; /* INFO has one line for each field */
    }
    return RM_ReplyWithSimpleString(ctx, "OK");
}
