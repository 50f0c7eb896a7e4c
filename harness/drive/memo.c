/*
 * See memo.h. Nodes stand in an array. The first edge of a node, and mostly its only one, stands in
 * the node; the others in one hash table keyed by (node, answer). The nodes of one path were made
 * together, so a walk mostly goes forward in memory.
 */
#include "harness/drive/memo.h"

#include "faultinject/base/buf.h"
#include "faultinject/base/hash.h"

#include <stdlib.h>
#include <string.h>

#define MEMO_NONE UINT32_MAX

struct memo_node {
	struct crashdisk_look look; /* inner nodes */
	uint32_t value;		    /* leaves; MEMO_NONE for inner nodes */
	uint32_t to;		    /* of the first edge: node + 1; 0 = none yet */
	uint64_t answer;
};

struct memo_edge {
	uint64_t answer;
	uint32_t from; /* MEMO_NONE: the edge leaves the root */
	uint32_t to;   /* node + 1; 0 = empty slot */
};

struct memo {
	struct memo_node *nodes;
	size_t node_count, node_cap;
	struct memo_edge *edges; /* open addressing, power of two */
	size_t edge_count, edge_cap;
};

struct memo *memo_create(void)
{
	struct memo *m = xcalloc(1, sizeof *m);

	m->edge_cap = 1024;
	m->edges = xcalloc(m->edge_cap, sizeof *m->edges);
	return m;
}

void memo_free(struct memo *m)
{
	if (m == NULL)
		return;
	free(m->nodes);
	free(m->edges);
	free(m);
}

static struct memo_edge *find_slot(struct memo_edge *edges, size_t cap, uint32_t from,
				   uint64_t answer)
{
	size_t i = (size_t)hash_mix(from, answer) & (cap - 1);

	while (edges[i].to != 0 && (edges[i].from != from || edges[i].answer != answer))
		i = (i + 1) & (cap - 1);
	return &edges[i];
}

/* Where the answer leads: node + 1, or 0. */
static uint32_t next_node(const struct memo *m, uint32_t from, uint64_t answer)
{
	if (from != MEMO_NONE) {
		const struct memo_node *n = &m->nodes[from];
		if (n->to == 0 || n->answer == answer)
			return n->to;
	}
	return find_slot(m->edges, m->edge_cap, from, answer)->to;
}

uint32_t memo_find(struct memo *m, struct crashdisk *disk, uint64_t root)
{
	uint32_t to = next_node(m, MEMO_NONE, root);

	while (to != 0) {
		const struct memo_node *n = &m->nodes[to - 1];
		uint64_t answer;
		if (n->value != MEMO_NONE)
			return n->value;
		if (!crashdisk_peek(disk, &n->look, &answer))
			return MEMO_NONE;
		to = next_node(m, to - 1, answer);
	}
	return MEMO_NONE;
}

static void grow_edges(struct memo *m)
{
	size_t cap = m->edge_cap * 2;
	struct memo_edge *edges = xcalloc(cap, sizeof *edges);

	for (size_t i = 0; i < m->edge_cap; i++)
		if (m->edges[i].to != 0)
			*find_slot(edges, cap, m->edges[i].from, m->edges[i].answer) = m->edges[i];
	free(m->edges);
	m->edges = edges;
	m->edge_cap = cap;
}

static bool look_equal(const struct crashdisk_look *a, const struct crashdisk_look *b)
{
	return a->kind == b->kind && a->path == b->path && a->offset == b->offset &&
	       a->size == b->size;
}

/* Follows the edge, making it and the node at its end if they are missing. */
static uint32_t follow(struct memo *m, uint32_t from, uint64_t answer, const struct memo_node *node)
{
	uint32_t to = next_node(m, from, answer);

	if (to != 0) {
		/* The same answers led to another look: something that no look showed decided.
		 * Such a state is not remembered. */
		const struct memo_node *there = &m->nodes[to - 1];
		bool same = there->value == node->value &&
			    (node->value != MEMO_NONE || look_equal(&there->look, &node->look));
		return same ? to - 1 : MEMO_NONE;
	}
	m->nodes = xgrow(m->nodes, m->node_count, &m->node_cap, sizeof *m->nodes);
	m->nodes[m->node_count++] = *node;
	to = (uint32_t)m->node_count;
	if (from != MEMO_NONE && m->nodes[from].to == 0) {
		m->nodes[from].answer = answer;
		m->nodes[from].to = to;
		return to - 1;
	}
	*find_slot(m->edges, m->edge_cap, from, answer) = (struct memo_edge){answer, from, to};
	if (++m->edge_count * 2 > m->edge_cap)
		grow_edges(m);
	return to - 1;
}

void memo_add(struct memo *m, struct crashdisk *disk, uint64_t root, uint32_t value)
{
	const struct crashdisk_look *looks;
	const uint64_t *answers;
	size_t count = crashdisk_log_entries(disk, &looks, &answers);

	if (m->node_count + count + 1 > MEMO_NODES_MAX)
		return;
	uint32_t from = MEMO_NONE;
	uint64_t answer = root;
	for (size_t i = 0; i <= count; i++) {
		struct memo_node node = {.value = i == count ? value : MEMO_NONE};
		if (i < count)
			node.look = looks[i];
		from = follow(m, from, answer, &node);
		if (from == MEMO_NONE)
			return;
		if (i < count)
			answer = answers[i];
	}
}
