/*
 * Grades and verdicts: what is found about the subject. A finding is a value, never an error.
 */
#ifndef JUDGE_VERDICT_H
#define JUDGE_VERDICT_H

/* Ordered: a worse grade is a smaller number, so the grade of a run is the minimum over its crash
 * states. GRADE_NONE marks findings outside the scale (leftovers, liveness): JSON null. */
#define GRADES(X)                                                                                  \
	X(GRADE_CORRUPT, 0, "corrupt") /* cannot be opened, fails a check, or a reader errs */     \
	X(GRADE_TORN, 1, "torn")       /* a state that never existed */                            \
	X(GRADE_CONSISTENT, 2, "consistent") /* a legal state; acknowledged commits can be lost */ \
	X(GRADE_DURABLE, 3, "durable")	     /* every acknowledged commit is there */

enum grade {
#define X(name, num, text) name = (num),
	GRADES(X)
#undef X
	    GRADE_NONE = 4,
};

/* The word of a grade, or NULL for GRADE_NONE. */
const char *grade_text(enum grade grade);
/* Reads a word; returns 0, or -1 when it is no grade. */
int grade_parse(const char *text, enum grade *ret_grade);

enum { VERDICT_MESSAGE_SIZE = 400 };

/* One finding of one oracle about one crash state. Plain value. */
struct verdict {
	const char *oracle; /* static name: "history", "integrity", "batch", ... */
	enum grade grade;
	char message[VERDICT_MESSAGE_SIZE];
};

#endif
