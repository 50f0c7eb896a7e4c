/*
 * The report folder of --report DIR:
 *
 *   DIR/result.json   docs/contract.md ("JSON")
 *   DIR/index.html    html.h
 *   DIR/junit.xml     junit.h
 *   DIR/summary.md    markdown.h
 *   DIR/annotations.txt  annotations.h
 *   DIR/cases/        a case file for each token, put there by the caller
 *
 * It is written under another name beside DIR, synced, and renamed when whole: DIR is the former
 * report or the new one, at every moment and after every failure. Folders have mode 0700, files
 * 0600.
 *
 * A folder that exists is replaced only if it is a report: its result.json says "plugpull" and it
 * holds nothing that a report has not. The second half matters: `--json result.json` in somebody's
 * project folder would otherwise make all of that folder look like a report.
 */
#ifndef REPORTS_REPORT_DIR_H
#define REPORTS_REPORT_DIR_H

#include "faultinject/base/err.h"
#include "harness/case/result.h"

/* Puts the case files, and nothing but regular files, into `dir`, which exists and is empty. Modes
 * and syncing are seen to afterwards. */
typedef int report_dir_cases_fn(void *ctx, const char *dir, struct err *err);

/* Says before a run whether report_dir_write() could write `dir`: ERR_INPUT when it exists and is
 * no report, ERR_IO when the folder that is to hold it is missing or not writable. Changes
 * nothing. */
int report_dir_check(const char *dir, struct err *err);

/* Writes the report. `cases` may be NULL: cases/ is then empty. ERR_INPUT and ERR_IO as above,
 * ERR_IO for a full disk, or the error of `cases`; nothing is left behind then. */
int report_dir_write(const struct result *r, const char *dir, report_dir_cases_fn *cases, void *ctx,
		     struct err *err);

#endif
