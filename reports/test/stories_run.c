/* Results with stories in them; see stories.h. */
#include "reports/test/stories.h"

#include "faultinject/base/buf.h"
#include "harness/case/story.h"
#include "reports/test/fixture.h"

static void add_violation(struct case_result *c, const char *oracle, enum grade grade,
			  const char *message, struct story *story)
{
	case_result_violation(c, oracle, grade, message, story == NULL ? NULL : story->token);
	c->violations[c->violation_count - 1].story = story;
}

static void set_config(struct case_result *c, const char *mode, const char *synchronous)
{
	kv_set(&c->config, "journal_mode", mode);
	kv_set(&c->config, "synchronous", synchronous);
	kv_set(&c->config, "cache_size", "10");
}

static void grid(struct result *r)
{
	static const char *const modes[] = {"delete", "truncate", "persist", "wal"};
	static const char *const levels[] = {"extra", "full", "normal", "off"};

	for (size_t m = 0; m < 4; m++) {
		for (size_t l = 0; l < 4; l++) {
			char *variant = xasprintf("strict-posix[journal_mode=%s,synchronous=%s]",
						  modes[m], levels[l]);
			enum grade grade = l == 3   ? GRADE_CORRUPT
					   : l == 2 ? (m == 3 ? GRADE_CONSISTENT : GRADE_TORN)
					   : l == 1 && m == 0 ? GRADE_CONSISTENT
							      : GRADE_DURABLE;
			struct case_result *c =
			    fixture_case(r, "transfer.sql", variant,
					 grade == GRADE_DURABLE ? CASE_HELD : CASE_VIOLATED, grade);

			set_config(c, modes[m], levels[l]);
			c->title = xstrdup(
			    "money moves between accounts, and no crash makes or destroys any");
			c->file = xstrdup("scenarios/transfer.sql");
			c->exhaustive = grade != GRADE_CORRUPT;
			if (grade == GRADE_CONSISTENT) {
				struct story *story = m == 0 ? stories_journal() : stories_wal();

				c->lost_acked_max = m == 0 ? 1 : 2;
				add_violation(c, "history", grade, story->message, story);
				case_result_lint(c, story->missing[0].rule,
						 story->missing[0].message, 7);
			} else if (grade != GRADE_DURABLE)
				case_result_violation(
				    c, "recovery", grade,
				    "cannot be read: database disk image is malformed (code 11)",
				    "pp1-26406c3d4669a9256f04043fb3b7849e");
			free(variant);
		}
	}
}

void stories_run(struct result *r)
{
	struct case_result *c;

	fixture(r);
	grid(r);
	c = fixture_case(r, "attached-wal.sql", "strict-posix", CASE_VIOLATED, GRADE_TORN);
	c->title = xstrdup("one transaction over two files, held together by a super-journal");
	c->file = xstrdup("scenarios/controls/attached-wal.sql");
	add_violation(c, "invariant", GRADE_TORN,
		      "'each message is in exactly one of the two files' is broken by 1 row",
		      stories_two());
	case_result_violation(c, "leftovers", GRADE_NONE, "a journal was left behind",
			      "pp1-1ef70ee5");
	result_violation_waive(&c->violations[1], "consistent", "2031-01-01", "known, ticket 12",
			       3);
	c = fixture_case(r, "attached-wal.sql", "process-crash", CASE_HELD, GRADE_DURABLE);
	replace(&c->model, "process-crash");
	c = fixture_case(r, "workflow.sql", "strict-posix", CASE_HELD, GRADE_DURABLE);
	replace(&c->states, "100000000000000000000000000000000000001");
	c->mutated = true;
	case_result_mutant(c, "sync main.db-wal #1", "sync", MUTATION_REDUNDANT, false, 1200, NULL);
	case_result_mutant(c, "sync main.db-wal #2", "sync", MUTATION_CAUGHT, false, 3,
			   "history, consistent: 1 acknowledged commit is gone");
	case_result_mutant(c, "defect ack-before-commit", "defect", MUTATION_MISSED, false, 4000,
			   NULL);
	case_result_not_applicable(c, "order", "no table has the column n");
	case_result_note(c, "explored with sectors of 512 bytes");
}

void stories_hostile(struct result *r, const char *text)
{
	struct case_result *c;

	fixture(r);
	c = fixture_case(r, "x.sql", text, CASE_VIOLATED, GRADE_CORRUPT);
	replace(&c->scenario, text);
	replace(&c->model, text);
	c->title = xstrdup(text);
	c->file = xstrdup(text);
	c->reason = xstrdup(text);
	kv_set(&c->config, text, text);
	add_violation(c, text, GRADE_CORRUPT, text, stories_all_texts(text));
	case_result_violation(c, text, GRADE_NONE, text, text);
	case_result_not_applicable(c, text, text);
	case_result_note(c, "%s", text);
	case_result_lint(c, text, text, 2);
	c->mutated = true;
	case_result_mutant(c, text, "sync", MUTATION_MISSED, false, 1, text);
	replace(&r->sqlite_version, text);
	replace(&r->sqlite_source_id, text);
}

void stories_single(struct result *r, struct story *story)
{
	struct case_result *c;

	result_init(r, "run", 1);
	r->again = xstrdup("plugpull run scenarios --require durable");
	r->again_program = xstrdup("");
	c = fixture_case(r, "many.sql", "strict-posix", CASE_VIOLATED, story->grade);
	c->file = xstrdup("scenarios/many.sql");
	add_violation(c, "history", story->grade, story->message, story);
}
