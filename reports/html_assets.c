/*
 * The files of reports/page/; see html_assets.h.
 *
 * Paths are those below the folder that `make` runs in. The Makefile says that this object depends
 * on the files, which the compiler does not know.
 */
#include "reports/html_assets.h"

#define TAKE(file) ".incbin \"reports/page/" file "\"\n"

/* Files one behind the other, between html_NAME_begin and html_NAME_end. */
#define ASSET(name, files)                                                                         \
	__asm__(".pushsection .rodata\n"                                                           \
		".globl html_" #name "_begin\n"                                                    \
		"html_" #name "_begin:\n" files ".globl html_" #name "_end\n"                      \
		"html_" #name "_end:\n"                                                            \
		".byte 0\n"                                                                        \
		".popsection\n");                                                                  \
	extern const char html_##name##_begin[], html_##name##_end[];                              \
	struct html_asset html_asset_##name(void)                                                  \
	{                                                                                          \
		return (struct html_asset){html_##name##_begin,                                    \
					   (size_t)(html_##name##_end - html_##name##_begin)};     \
	}

ASSET(page, TAKE("page.html"))
ASSET(style, TAKE("page.css") TAKE("parts.css") TAKE("run.css") TAKE("case.css")
		 TAKE("timeline.css") TAKE("print.css"))
ASSET(boot, TAKE("boot.js"))
ASSET(script, TAKE("dom.js") TAKE("data.js") TAKE("parts.js") TAKE("terms.js") TAKE("matrix.js")
		  TAKE("table.js") TAKE("run.js") TAKE("timeline.js") TAKE("lanes.js")
		      TAKE("paint.js") TAKE("operations.js") TAKE("source.js") TAKE("states.js")
			  TAKE("story.js") TAKE("case.js") TAKE("main.js"))
