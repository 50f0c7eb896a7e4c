/*
 * A result as tables for a terminal: rows are journal modes, columns levels of synchronous, and a
 * cell is the grade of a case. One table for each scenario, model and choice of the other axes.
 */
#ifndef REPORTS_MATRIX_H
#define REPORTS_MATRIX_H

#include "faultinject/base/buf.h"
#include "harness/case/result.h"
#include "reports/terminal.h"

#include <stdbool.h>

#define MATRIX_ROW    "journal_mode"
#define MATRIX_COLUMN "synchronous"

/* Appends the tables in the order of their first cases, and the last line:
 *
 *   modes@strict-posix: what each journal mode keeps
 *              extra    full          normal        off
 *     delete   durable  consistent 1  corrupt       corrupt
 *     wal      durable  durable       consistent 1  corrupt
 *     delete/full  1 acknowledged commit is gone: ...; plugpull replay pp1-3f2a9c
 *
 * The number is the most acknowledged commits that one crash loses. A cell that can still turn out
 * worse, because states of it were left out, is marked with an asterisk, and one that is below what
 * was required with an exclamation mark. Below a table stands a line for each cell that loses
 * something, with its worst finding (verbose: with all), and what kept a cell from being judged.
 * `quiet` leaves out tables in which every cell is held, and the last line. */
void matrix_render(struct buf *out, const struct result *r, const struct terminal_style *style,
		   bool quiet);

#endif
