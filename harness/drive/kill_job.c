/*
 * What a writer process is told, and what it reports; see kill_internal.h.
 *
 * A job is one JSON object. Both ends are the same program, so it has no version; it is still
 * checked, because the environment variable that leads to it can be set by anybody.
 *
 * A record on the pipe is
 *
 *     offset  bytes
 *     0       2      size of what follows, little-endian
 *     2       1      enum kill_record_type
 *     3       ...    the fields that kill_record names for the type, integers little-endian;
 *                    a text stands last and ends with the record
 */
#include "harness/drive/kill_internal.h"

#include "faultinject/base/assert.h"
#include "harness/drive/kill_bytes.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_HEADER_SIZE = 2 };

/* ---- jobs: writing ---- */

static json_t *statements_to_json(const struct statement_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++) {
		const struct statement *st = &list->items[i];

		if (json_array_append_new(
			array, json_pack("[sib]", st->sql, st->line, (int)st->may_fail)) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *params_to_json(const struct kv_list *params)
{
	json_t *object = json_object();

	for (size_t i = 0; i < params->count; i++) {
		if (json_object_set_new(object, params->items[i].key,
					json_string(params->items[i].value)) != 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *clients_to_json(const struct kill_job *job)
{
	json_t *array = json_array();

	for (size_t i = 0; i < job->client_count; i++) {
		const struct kill_client *c = &job->clients[i];
		json_t *item = json_pack(
		    "{ss sI sI sI sI sI so}", "name", c->name, "index", (json_int_t)c->index,
		    "repeat", (json_int_t)c->repeat, "turn", (json_int_t)c->from.turn, "repetition",
		    (json_int_t)c->from.repetition, "statement", (json_int_t)c->from.statement,
		    "statements", statements_to_json(&c->statements));

		if (json_array_append_new(array, item) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/* 64-bit seeds and counts do not all fit a JSON integer; their bits do. */
static json_int_t bits(uint64_t v)
{
	json_int_t i;

	memcpy(&i, &v, sizeof i);
	return i;
}

int kill_job_encode(const struct kill_job *job, char **ret_text, struct err *err)
{
	json_t *json = json_pack(
	    "{si ss so ss* ss* so sI sI so so sb si sI}", "role", (int)job->role, "path", job->path,
	    "subject", subject_to_json(job->subject), "workload", job->workload, "plant",
	    job->plant, "params", params_to_json(&job->params), "worker", (json_int_t)job->worker,
	    "seed", bits(job->seed), "setup", statements_to_json(&job->setup), "clients",
	    clients_to_json(job), "reopen", (int)job->reopen, "moment", (int)job->plan.moment,
	    "number", bits(job->plan.number));
	char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);

	json_decref(json);
	if (text == NULL)
		return err_set(err, ERR_INPUT, "%s: a string is not UTF-8", job->path);
	*ret_text = text;
	return 0;
}

/* ---- jobs: reading ---- */

static int not_a_job(struct err *err, const char *why)
{
	return err_set(err, ERR_HARNESS, "%s does not lead to a job: %s", KILL_ENVIRONMENT, why);
}

static int statements_from_json(const json_t *array, struct statement_list *ret, struct err *err)
{
	size_t i;
	const json_t *item;

	if (!json_is_array(array))
		return not_a_job(err, "statements");
	json_array_foreach (array, i, item) {
		const char *sql;
		int line, may_fail;

		if (json_unpack((json_t *)(uintptr_t)item, "[sib!]", &sql, &line, &may_fail) != 0)
			return not_a_job(err, "a statement");
		ret->items = xgrow(ret->items, ret->count, &ret->cap, sizeof *ret->items);
		ret->items[ret->count++] = (struct statement){xstrdup(sql), line, may_fail != 0};
	}
	return 0;
}

static bool fits_u32(json_int_t v)
{
	return v >= 0 && v <= (json_int_t)UINT32_MAX;
}

static int client_from_json(json_t *item, struct kill_client *ret, struct err *err)
{
	const char *name;
	json_int_t index, repeat, turn, repetition, statement;
	json_t *statements;

	if (json_unpack(item, "{ss sI sI sI sI sI so!}", "name", &name, "index", &index, "repeat",
			&repeat, "turn", &turn, "repetition", &repetition, "statement", &statement,
			"statements", &statements) != 0 ||
	    !fits_u32(index) || !fits_u32(repeat) || turn < 0 || !fits_u32(repetition) ||
	    !fits_u32(statement))
		return not_a_job(err, "a client");
	ret->name = xstrdup(name);
	ret->index = (uint32_t)index;
	ret->repeat = (uint32_t)repeat;
	ret->from =
	    (struct kill_position){(uint64_t)turn, (uint32_t)repetition, (uint32_t)statement};
	int rc = statements_from_json(statements, &ret->statements, err);

	if (rc == 0 && (ret->statements.count == 0 || ret->from.statement > ret->statements.count))
		rc = not_a_job(err, "a client's position");
	return rc;
}

int kill_job_decode(const char *text, size_t size, struct kill_job *ret_job, struct err *err)
{
	struct kill_job job = {0};
	json_error_t where;
	json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
	const char *path, *workload = NULL, *plant = NULL, *key;
	json_t *subject, *params, *setup, *clients, *value;
	json_int_t worker, seed, number;
	int role, reopen, moment, rc = 0;

	if (json == NULL ||
	    json_unpack(json, "{si ss so s?s s?s so sI sI so so sb si sI!}", "role", &role, "path",
			&path, "subject", &subject, "workload", &workload, "plant", &plant,
			"params", &params, "worker", &worker, "seed", &seed, "setup", &setup,
			"clients", &clients, "reopen", &reopen, "moment", &moment, "number",
			&number) != 0) {
		rc = not_a_job(err, json == NULL ? where.text : "its keys");
		goto out;
	}
	if (role < KILL_ROLE_SETUP || role > KILL_ROLE_WRITER || !fits_u32(worker) ||
	    moment < FI_KILL_NEVER || moment > FI_KILL_IN_SYNC || !json_is_object(params) ||
	    json_array_size(clients) > KILL_PROCESSES_MAX) {
		rc = not_a_job(err, "a value");
		goto out;
	}
	job.role = (enum kill_role)role;
	job.path = xstrdup(path);
	job.workload = workload == NULL ? NULL : xstrdup(workload);
	job.plant = plant == NULL ? NULL : xstrdup(plant);
	job.worker = (uint32_t)worker;
	job.reopen = reopen != 0;
	job.plan.moment = (enum fi_kill_moment)moment;
	memcpy(&job.seed, &seed, sizeof seed);
	memcpy(&job.plan.number, &number, sizeof number);
	json_object_foreach (params, key, value) {
		if (!json_is_string(value)) {
			rc = not_a_job(err, "a parameter");
			goto out;
		}
		kv_set(&job.params, key, json_string_value(value));
	}
	rc = subject_from_json(subject, &job.subject, err);
	if (rc == 0)
		rc = statements_from_json(setup, &job.setup, err);
	job.clients = xcalloc(json_array_size(clients), sizeof *job.clients);
	for (size_t i = 0; i < json_array_size(clients) && rc == 0; i++)
		rc = client_from_json(json_array_get(clients, i), &job.clients[job.client_count++],
				      err);
	if (rc != 0)
		goto out;
	*ret_job = job;
	memset(&job, 0, sizeof job);
out:
	json_decref(json);
	kill_job_release(&job);
	return rc;
}

static void statements_release(struct statement_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i].sql);
	free(list->items);
}

void kill_job_release(struct kill_job *job)
{
	for (size_t i = 0; i < job->client_count; i++) {
		free(job->clients[i].name);
		statements_release(&job->clients[i].statements);
	}
	free(job->clients);
	statements_release(&job->setup);
	kv_release(&job->params);
	subject_free(job->subject);
	free(job->path);
	free(job->workload);
	free(job->plant);
	memset(job, 0, sizeof *job);
}

/* ---- records ---- */

static void put_position(struct buf *b, const struct kill_position *p)
{
	buf_put_u64(b, p->turn);
	buf_put_u32(b, p->repetition);
	buf_put_u32(b, p->statement);
}

void kill_record_encode(const struct kill_record *r, struct buf *out)
{
	struct buf b;

	buf_init(&b);
	buf_put_u8(&b, (uint8_t)r->type);
	switch (r->type) {
	case KILL_RECORD_STARTED:
		buf_put_u64(&b, (uint64_t)r->clock);
		break;
	case KILL_RECORD_TURN:
		buf_put_u32(&b, r->client);
		put_position(&b, &r->position);
		break;
	case KILL_RECORD_STATE:
		put_position(&b, &r->position);
		buf_put_u32(&b, r->file_count);
		buf_append(&b, r->states, r->file_count * sizeof *r->states);
		break;
	case KILL_RECORD_DONE:
		buf_put_u64(&b, r->counts.operations);
		buf_put_u64(&b, r->counts.syncs);
		break;
	case KILL_RECORD_SEEN_STATE:
		buf_put_u64(&b, r->position.turn);
		break;
	case KILL_RECORD_FAILED:
	case KILL_RECORD_FOUND:
		buf_put_u32(&b, (uint32_t)r->code);
		buf_append(&b, r->text, strlen(r->text));
		break;
	case KILL_RECORD_TEXT:
	case KILL_RECORD_SEEN:
	case KILL_RECORD_IMPURE:
		buf_append(&b, r->text, strlen(r->text));
		break;
	}
	ASSERT_OP(RECORD_HEADER_SIZE + b.size, <=, KILL_RECORD_SIZE_MAX);
	buf_put_u16(out, (uint16_t)b.size);
	buf_append(out, b.data, b.size);
	buf_release(&b);
}

static void take_position(struct kill_reader *r, struct kill_position *ret)
{
	ret->turn = kill_take_u64(r);
	ret->repetition = kill_take_u32(r);
	ret->statement = kill_take_u32(r);
}

static void take_text(struct kill_reader *r, char *ret, size_t size)
{
	size_t n = r->left;

	if (n >= size) {
		r->cut = true;
		n = size - 1;
	}
	kill_take(r, ret, n);
	ret[n] = '\0';
}

int kill_record_decode(const struct buf *in, size_t *offset, struct kill_record *ret,
		       struct err *err)
{
	const uint8_t *at = in->data + *offset;
	size_t left = in->size - *offset, size;

	if (left < RECORD_HEADER_SIZE)
		return 0;
	size = (size_t)at[0] | (size_t)at[1] << 8;
	if (size == 0 || size > KILL_RECORD_SIZE_MAX)
		return err_set(err, ERR_HARNESS, "a writer sent a record of %zu bytes", size);
	if (left - RECORD_HEADER_SIZE < size)
		return 0;
	struct kill_reader r = {at + RECORD_HEADER_SIZE + 1, size - 1, false};

	memset(ret, 0, sizeof *ret);
	ret->type = (enum kill_record_type)at[RECORD_HEADER_SIZE];
	switch (ret->type) {
	case KILL_RECORD_STARTED:
		ret->clock = (int64_t)kill_take_u64(&r);
		break;
	case KILL_RECORD_TURN:
		ret->client = kill_take_u32(&r);
		take_position(&r, &ret->position);
		break;
	case KILL_RECORD_STATE:
		take_position(&r, &ret->position);
		ret->file_count = kill_take_u32(&r);
		if (ret->file_count > OBSERVED_FILES_MAX)
			r.cut = true;
		else
			kill_take(&r, ret->states, ret->file_count * sizeof *ret->states);
		break;
	case KILL_RECORD_DONE:
		ret->counts.operations = kill_take_u64(&r);
		ret->counts.syncs = kill_take_u64(&r);
		break;
	case KILL_RECORD_SEEN_STATE:
		ret->position.turn = kill_take_u64(&r);
		break;
	case KILL_RECORD_FAILED:
	case KILL_RECORD_FOUND:
		ret->code = (int32_t)kill_take_u32(&r);
		take_text(&r, ret->text, sizeof ret->text);
		break;
	case KILL_RECORD_TEXT:
	case KILL_RECORD_SEEN:
	case KILL_RECORD_IMPURE:
		take_text(&r, ret->text, KILL_TEXT_SIZE);
		break;
	default:
		r.cut = true;
		break;
	}
	if (r.cut || r.left > 0)
		return err_set(err, ERR_HARNESS, "a writer sent a broken record of type %d",
			       (int)ret->type);
	*offset += RECORD_HEADER_SIZE + size;
	return 1;
}
