/*
 * What stands in reports/page/, as bytes of the program: the assembler takes the files in
 * (.incbin), so that they are one with it and can be read and edited as what they are.
 */
#ifndef REPORTS_HTML_ASSETS_H
#define REPORTS_HTML_ASSETS_H

#include <stddef.h>

struct html_asset {
	const char *data; /* static; UTF-8; no zero at its end */
	size_t size;
};

/* The page, with {{name}} where something is put in. */
struct html_asset html_asset_page(void);
struct html_asset html_asset_style(void);
/* Runs before the page is painted: chooses light or dark, and sees to it that the table for readers
 * without scripts comes back when the script fails. */
struct html_asset html_asset_boot(void);
/* Everything else; the files of reports/page/ in the order in which they need each other. */
struct html_asset html_asset_script(void);

#endif
