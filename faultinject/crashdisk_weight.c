/*
 * Accounting: how many assignments a run stands for, and how many there are.
 *
 * An assignment fixes, in ancestor order, the state of every group of names, the metadata prefix t
 * of every inode that these states reach, and one candidate for every sector given t. An inode
 * that no name reaches counts 1: nobody can look at it.
 *
 *     total = product over groups of  sum over states j of  product over inodes of row j of W(i)
 *     W(i)  = sum over t of  product over sectors of candidates(s, t)
 *
 * Where a file survives as one prefix of its pieces (D4), W(i) is the number of prefixes; where
 * everything does, that number is the total, and a leaf is an interval of it.
 *
 * A run (a leaf of the search tree) counts the same formula restricted to what it left open. The
 * leaves of a crash point are disjoint and must add up to the total exactly.
 */
#include "faultinject/crashdisk_internal.h"

#include "faultinject/base/buf.h"

#include <stdlib.h>

static int compare_sectors(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The content of this write is not durable at the crash point, or not by itself (D8). */
static bool is_pending(const struct crashdisk *cd, const struct index_inode *in,
		       const struct point_inode *pi, uint64_t position)
{
	return position > pi->durable ||
	       (!cd->model.process_crash && index_missed(in, position, UINT64_MAX));
}

/* The distinct sectors with pending versions; owned by the caller. */
static uint32_t *pending_sectors(struct crashdisk *cd, uint32_t inode, size_t *ret_count)
{
	const struct point_inode *pi = crashdisk_point_inode(cd, inode);
	const struct index_inode *in = &cd->ix->inodes[inode];
	uint64_t until = cd->model.process_crash ? pi->durable : cd->position;
	uint64_t after = pi->durable;
	size_t lo = 0, hi = in->touch_count, count = 0;

	if (in->miss_count > 0 && in->misses[0].after < after)
		after = in->misses[0].after;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (in->touches[mid].position <= after)
			lo = mid + 1;
		else
			hi = mid;
	}
	size_t first = lo;
	while (lo < in->touch_count && in->touches[lo].position <= until)
		lo++;
	uint32_t *sectors = xmalloc((lo - first) * sizeof *sectors);
	for (size_t i = first; i < lo; i++)
		if (is_pending(cd, in, pi, in->touches[i].position))
			sectors[count++] = in->touches[i].sector;
	if (count > 1)
		qsort(sectors, count, sizeof *sectors, compare_sectors);
	size_t distinct = 0;
	for (size_t i = 0; i < count; i++)
		if (i == 0 || sectors[i] != sectors[i - 1])
			sectors[distinct++] = sectors[i];
	*ret_count = distinct;
	return sectors;
}

static const struct point_inode *weigh_inode(struct crashdisk *cd, uint32_t inode)
{
	struct point_inode *pi = &cd->point_inodes[inode];

	(void)crashdisk_point_inode(cd, inode);
	if (pi->weighed)
		return pi;
	size_t count;
	uint32_t *sectors = pending_sectors(cd, inode, &count);
	pi->weight_count = pi->meta_count + 1;
	pi->weights = xmalloc(pi->weight_count * sizeof *pi->weights);
	mpz_init(pi->weight_sum);
	for (size_t t = 0; t < pi->weight_count; t++) {
		mpz_init_set_ui(pi->weights[t], 1);
		for (size_t i = 0; i < count; i++) {
			struct candidates c;
			crashdisk_candidates(cd, inode, t, sectors[i], &c);
			if (candidates_count(&c) > 1)
				mpz_mul_ui(pi->weights[t], pi->weights[t], candidates_count(&c));
		}
		mpz_add(pi->weight_sum, pi->weight_sum, pi->weights[t]);
	}
	free(sectors);
	pi->weighed = true;
	return pi;
}

/* Multiplies `ret` by what the run left open of one inode. */
static void multiply_inode(struct crashdisk *cd, uint32_t inode, mpz_t ret)
{
	if (crashdisk_has_lines(cd)) {
		mpz_mul_ui(ret, ret, crashdisk_line_width(cd, inode, false));
		return;
	}
	const struct point_inode *pi = weigh_inode(cd, inode);
	const struct run_inode *ri = crashdisk_run_inode(cd, inode);

	if (!ri->known) {
		if (ri->filter == RUN_ANY) {
			mpz_mul(ret, ret, pi->weight_sum);
			return;
		}
		mpz_t sum;
		mpz_init(sum);
		for (size_t t = 0; t < pi->weight_count; t++)
			if (run_filter_passes(ri->filter, crashdisk_size_of(cd, inode, t)))
				mpz_add(sum, sum, pi->weights[t]);
		mpz_mul(ret, ret, sum);
		mpz_clear(sum);
		return;
	}
	mpz_mul(ret, ret, pi->weights[ri->t]);
	for (size_t i = 0; i < cd->decision_count; i++) {
		const struct run_decision *d = &cd->decisions[i];
		if (d->inode != inode)
			continue;
		mpz_divexact_ui(ret, ret, d->candidates);
		if (d->class_size != 1)
			mpz_mul_ui(ret, ret, d->class_size);
	}
}

static bool row_has_before(const uint32_t *row, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (row[k] == row[i])
			return true;
	return false;
}

/* The sum over a group's states of the product over its files: all states and whole files
 * (`total`), or what the run left open. */
static void add_group(struct crashdisk *cd, size_t group, bool total, mpz_t ret)
{
	const struct index_group *g = &cd->ix->groups[group];
	const struct point_group *pg = crashdisk_point_group(cd, group);
	const struct run_group *rg = total ? NULL : crashdisk_run_group(cd, group);
	mpz_t product;

	mpz_init(product);
	mpz_set_ui(ret, 0);
	for (size_t j = 0; j < pg->count; j++) {
		if (rg != NULL && rg->alive != NULL && !rg->alive[j])
			continue;
		const uint32_t *row = pg->rows + j * g->name_count;
		mpz_set_ui(product, 1);
		for (size_t i = 0; i < g->name_count; i++) {
			if (row[i] == 0 || row_has_before(row, i))
				continue;
			if (total && crashdisk_has_lines(cd))
				mpz_mul_ui(product, product,
					   crashdisk_line_width(cd, row[i], true));
			else if (total)
				mpz_mul(product, product, weigh_inode(cd, row[i])->weight_sum);
			else
				multiply_inode(cd, row[i], product);
		}
		mpz_add(ret, ret, product);
	}
	mpz_clear(product);
}

static void multiply_groups(struct crashdisk *cd, bool total, mpz_t ret)
{
	mpz_t sum;

	if (crashdisk_has_lines(cd) && cd->model.reorder == MODEL_REORDER_NONE) {
		mpz_set_ui(ret, crashdisk_line_width(cd, 0, total));
		return;
	}
	mpz_init(sum);
	mpz_set_ui(ret, 1);
	for (size_t g = 0; g < cd->ix->group_count; g++) {
		add_group(cd, g, total, sum);
		mpz_mul(ret, ret, sum);
	}
	mpz_clear(sum);
}

void crashdisk_weight(struct crashdisk *cd, mpz_t ret)
{
	multiply_groups(cd, false, ret);
}

void crashdisk_total(struct crashdisk *cd, mpz_t ret)
{
	multiply_groups(cd, true, ret);
}
