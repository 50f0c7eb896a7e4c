/* See verdict.h. */
#include "harness/judge/verdict.h"

#include <string.h>

const char *grade_text(enum grade grade)
{
	switch (grade) {
#define X(name, num, text)                                                                         \
	case name:                                                                                 \
		return text;
		GRADES(X)
#undef X
	case GRADE_NONE:
	default:
		return NULL;
	}
}

int grade_parse(const char *text, enum grade *ret_grade)
{
#define X(name, num, word)                                                                         \
	if (strcmp(text, word) == 0) {                                                             \
		*ret_grade = name;                                                                 \
		return 0;                                                                          \
	}
	GRADES(X)
#undef X
	return -1;
}
