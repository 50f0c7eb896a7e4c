/*
 * generate man|bash|zsh|fish: prints one of the files that `make install` installs beside the
 * program. See generate.h.
 */
#include "harness/cli/generate/generate.h"

#include <string.h>

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(FILE *out);
	} formats[] = {{"man", generate_man},
		       {"bash", generate_bash},
		       {"zsh", generate_zsh},
		       {"fish", generate_fish}};

	for (size_t i = 0; argc == 2 && i < sizeof formats / sizeof formats[0]; i++) {
		if (strcmp(argv[1], formats[i].name) != 0)
			continue;
		formats[i].print(stdout);
		return fflush(stdout) == 0 && ferror(stdout) == 0 ? 0 : 1;
	}
	(void)fprintf(stderr, "usage: generate man|bash|zsh|fish\n");
	return 2;
}
