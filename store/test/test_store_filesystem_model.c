/*
 * test_store_filesystem_model.c: a few thousand random operations on the file system (C6) beside a
 * model in memory, with every invariant of the header asked after each.
 */
#include "store/test/filesystem_test.h"

enum { MODEL_NODES_MAX = 64, NAMES = 6, CONTENTS = 5, OPERATIONS = 3000 };

struct model_node {
	int64_t inode; /* 0: the slot is free */
	int64_t parent;
	char name[8];
	bool folder;
	unsigned content;
};

struct model {
	struct model_node nodes[MODEL_NODES_MAX];
	uint64_t random;
};

static unsigned draw(struct model *model, unsigned count)
{
	model->random = model->random * UINT64_C(6364136223846793005) + 1442695040888963407U;
	return (unsigned)(model->random >> 33) % count;
}

static struct model_node *model_find(struct model *model, int64_t parent, const char *name)
{
	for (size_t i = 0; i < MODEL_NODES_MAX; i++) {
		struct model_node *node = &model->nodes[i];

		if (node->inode && node->parent == parent && strcmp(node->name, name) == 0)
			return node;
	}
	return NULL;
}

static struct model_node *model_get(struct model *model, int64_t inode)
{
	for (size_t i = 0; i < MODEL_NODES_MAX; i++) {
		if (model->nodes[i].inode && model->nodes[i].inode == inode)
			return &model->nodes[i];
	}
	return NULL;
}

static size_t model_children(const struct model *model, int64_t inode)
{
	size_t count = 0;

	for (size_t i = 0; i < MODEL_NODES_MAX; i++)
		count += model->nodes[i].inode && model->nodes[i].parent == inode;
	return count;
}

static bool model_is_below(struct model *model, int64_t inode, int64_t above)
{
	while (inode) {
		if (inode == above)
			return true;
		inode = model_get(model, inode)->parent;
	}
	return false;
}

static struct model_node *model_free_slot(struct model *model)
{
	for (size_t i = 0; i < MODEL_NODES_MAX; i++) {
		if (!model->nodes[i].inode)
			return &model->nodes[i];
	}
	return NULL;
}

/* An inode that is there, mostly a folder, sometimes one that is not there. */
static int64_t draw_inode(struct model *model)
{
	for (unsigned tries = 0; tries < 40; tries++) {
		const struct model_node *node = &model->nodes[draw(model, MODEL_NODES_MAX)];

		if (node->inode && (node->folder || draw(model, 4) == 0))
			return node->inode;
	}
	return draw(model, 20) ? ROOT : 1000000;
}

static enum store_code model_parent_code(struct model *model, int64_t parent)
{
	const struct model_node *node = model_get(model, parent);

	if (!node)
		return STORE_ERR_NOT_FOUND;
	return node->folder ? STORE_OK : STORE_ERR_NOT_A_FOLDER;
}

static size_t content_fill(unsigned content, char buffer[16])
{
	/* The first is empty. */
	memset(buffer, (int)('a' + content), 16);
	return content * 3;
}

/* What a file at that place becomes; ret_changed says which slot the store's inode belongs in. */
static enum store_code model_put(struct model *model, int64_t parent, const char *name,
				 unsigned content, struct model_node **ret_slot)
{
	struct model_node *there = model_find(model, parent, name);
	enum store_code code = model_parent_code(model, parent);

	if (code != STORE_OK)
		return code;
	if (there && there->folder)
		return STORE_ERR_EXISTS;
	if (!there) {
		there = model_free_slot(model);
		*there = (struct model_node){.inode = -1, .parent = parent};
		snprintf(there->name, sizeof(there->name), "%s", name);
	}
	there->content = content;
	*ret_slot = there;
	return STORE_OK;
}

static enum store_code model_rename(struct model *model, int64_t parent, const char *name,
				    int64_t new_parent, const char *new_name)
{
	struct model_node *source;
	struct model_node *target;
	enum store_code code = model_parent_code(model, parent);

	if (code != STORE_OK)
		return code;
	source = model_find(model, parent, name);
	if (!source)
		return STORE_ERR_NOT_FOUND;
	code = model_parent_code(model, new_parent);
	if (code != STORE_OK)
		return code;
	target = model_find(model, new_parent, new_name);
	if (target == source)
		return STORE_OK;
	if (source->folder && model_is_below(model, new_parent, source->inode))
		return STORE_ERR_CYCLE;
	if (target && source->folder && !target->folder)
		return STORE_ERR_NOT_A_FOLDER;
	if (target && target->folder && model_children(model, target->inode) > 0)
		return STORE_ERR_NOT_EMPTY;
	if (target && target->folder && !source->folder)
		return STORE_ERR_EXISTS;
	if (target)
		target->inode = 0;
	source->parent = new_parent;
	snprintf(source->name, sizeof(source->name), "%s", new_name);
	return STORE_OK;
}

static enum store_code model_remove(struct model *model, int64_t parent, const char *name)
{
	struct model_node *node = model_find(model, parent, name);
	enum store_code code = model_parent_code(model, parent);

	if (code != STORE_OK)
		return code;
	if (!node)
		return STORE_ERR_NOT_FOUND;
	if (node->folder && model_children(model, node->inode) > 0)
		return STORE_ERR_NOT_EMPTY;
	node->inode = 0;
	return STORE_OK;
}

/* One operation on both; the codes are the same. */
static void operate(struct model *model, struct store *store, unsigned number)
{
	char name[8];
	char new_name[8];
	char buffer[16];
	int64_t parent = draw_inode(model);
	int64_t other = draw_inode(model);
	unsigned content = draw(model, CONTENTS);
	struct model_node *slot = NULL;
	const struct model_node *source;
	enum store_code expected;
	enum store_code code;
	int64_t inode = 0;
	size_t size = content_fill(content, buffer);
	unsigned what = draw(model, 8);

	snprintf(name, sizeof(name), "n%u", draw(model, NAMES));
	snprintf(new_name, sizeof(new_name), "n%u", draw(model, NAMES));
	/* A full model only shrinks. */
	if (!model_free_slot(model) && what < 5)
		what = 7;
	switch (what) {
	case 0:
		expected = model_parent_code(model, parent);
		if (expected == STORE_OK && model_find(model, parent, name))
			expected = STORE_ERR_EXISTS;
		code = store_folder_make(store, parent, name, number, &inode, NULL);
		if (expected == STORE_OK) {
			slot = model_free_slot(model);
			*slot = (struct model_node){.parent = parent, .folder = true};
			snprintf(slot->name, sizeof(slot->name), "%s", name);
		}
		break;
	case 1:
	case 2:
		expected = model_put(model, parent, name, content, &slot);
		code = store_file_write(store, parent, name, buffer, size, number, &inode, NULL);
		break;
	case 3:
		source = model_get(model, other);
		if (!source)
			expected = STORE_ERR_NOT_FOUND;
		else if (source->folder)
			expected = STORE_ERR_INVALID;
		else
			expected = model_put(model, parent, name, source->content, &slot);
		code = store_file_copy(store, other, parent, name, number, &inode, NULL);
		break;
	case 4:
	case 5:
	case 6:
		expected = model_rename(model, parent, name, other, new_name);
		code = store_node_rename(store, parent, name, other, new_name, number, NULL);
		break;
	default:
		expected = model_remove(model, parent, name);
		code = store_node_remove(store, parent, name, number, NULL);
		break;
	}
	if (code != expected)
		fail_msg("operation %u of kind %u: %s, expected %s", number, what,
			 store_code_name(code), store_code_name(expected));
	if (slot) {
		assert_true(slot->inode <= 0 || slot->inode == inode);
		slot->inode = inode;
	}
}

/* The store holds what the model holds, and nothing else. */
static void assert_as_model(struct model *model, struct store *store)
{
	size_t count = 0;

	for (size_t i = 0; i < MODEL_NODES_MAX; i++) {
		const struct model_node *expected = &model->nodes[i];
		struct store_node node;
		char buffer[16];
		char content[16];
		size_t size = 0;

		if (!expected->inode)
			continue;
		count++;
		assert_int_equal(store_node_stat(store, expected->inode, &node, NULL), STORE_OK);
		assert_int_equal(node.parent, expected->parent);
		assert_string_equal(node.name, expected->name);
		assert_int_equal(node.type, expected->folder ? STORE_NODE_FOLDER : STORE_NODE_FILE);
		assert_int_equal(node.child_count, model_children(model, expected->inode));
		if (expected->folder)
			continue;
		assert_int_equal(
		    store_file_read(store, expected->inode, buffer, sizeof(buffer), &size, NULL),
		    STORE_OK);
		assert_int_equal(size, content_fill(expected->content, content));
		assert_memory_equal(buffer, content, size);
	}
	assert_int_equal(query_int(store_handle(store), "SELECT count(*) FROM nodes"), count);
}

/* [C6] Whatever the order of operations, each answers as a model in memory does, leaves what the
 * model holds, and breaks no invariant. */
static void test_random_operations(void **state)
{
	const struct folder *folder = folder_of(state);
	struct store *store = fs_open(folder->store);
	struct model model = {.random = 20240229};

	model.nodes[0] = (struct model_node){.inode = ROOT, .folder = true};
	for (unsigned i = 0; i < OPERATIONS; i++) {
		operate(&model, store, i);
		assert_sound(store);
		assert_as_model(&model, store);
		/* Now and then as after a kill: another handle, nothing in memory. */
		if (i % 500 == 499) {
			store_close(store);
			store = fs_open(folder->store);
		}
	}
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_random_operations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
