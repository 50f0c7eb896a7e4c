/* See init_files.h. */
#include "harness/cli/init_files.h"

/* A line of a file is a line here. */
/* clang-format off */
static const char first_scenario[] =
	"-- @scenario a confirmed order survives a power loss, with all of its lines\n"
	"--\n"
	"-- A first scenario, written by `plugpull init`. Run it with\n"
	"--\n"
	"--     plugpull run durability/\n"
	"--\n"
	"-- and make it what your application does. Every moment at which the power could fail is tried, with\n"
	"-- everything that a disk may have kept or lost at that moment.\n"
	"--\n"
	"-- These settings hold on every connection. Put in those of your application. With\n"
	"-- synchronous=normal the run fails, and says which confirmed order is lost.\n"
	"-- @pragma journal_mode=wal synchronous=full\n"
	"--\n"
	"-- `durable`: whatever a client was told is committed is there afterwards. `consistent` is less: the\n"
	"-- last commits may be missing, and nothing is ever half there.\n"
	"-- @require durable\n"
	"--\n"
	"-- What is there before anything can go wrong.\n"
	"-- @setup\n"
	"CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT NOT NULL, line_count INTEGER NOT NULL);\n"
	"CREATE TABLE lines(order_id INTEGER NOT NULL REFERENCES orders, item TEXT NOT NULL);\n"
	"--\n"
	"-- What the application does: a client is a connection, and :i counts its repetitions. Clients take\n"
	"-- turns, a transaction each.\n"
	"-- @client shop repeat=3\n"
	"BEGIN IMMEDIATE;\n"
	"INSERT INTO orders VALUES (:i, 'customer ' || :i, 2);\n"
	"INSERT INTO lines VALUES (:i, 'bread'), (:i, 'salt');\n"
	"COMMIT;\n"
	"-- @client office\n"
	"UPDATE orders SET customer = upper(customer) WHERE id = 1;\n"
	"--\n"
	"-- What must be true after every recovery, beside what plugpull checks by itself (no commit lost, no\n"
	"-- state that never was, no damage). A query that must return no row.\n"
	"-- @invariant \"every order has all of its lines\"\n"
	"SELECT id FROM orders WHERE line_count <> (SELECT count(*) FROM lines WHERE order_id = orders.id);\n";

static const char github_workflow[] =
	"# Written by `plugpull init`: fails when a power loss could lose what the scenarios in durability/\n"
	"# promise. The variable PLUGPULL_REPOSITORY of this repository says where plugpull's source is\n"
	"# (OWNER/NAME).\n"
	"name: durability\n"
	"on: [push, pull_request]\n"
	"permissions:\n"
	"  contents: read\n"
	"jobs:\n"
	"  durability:\n"
	"    runs-on: ubuntu-latest\n"
	"    steps:\n"
	"      - uses: actions/checkout@v4\n"
	"      - uses: actions/checkout@v4\n"
	"        with:\n"
	"          repository: ${{ vars.PLUGPULL_REPOSITORY }}\n"
	"          path: plugpull-source\n"
	"      - uses: ./plugpull-source/.github/actions/plugpull\n"
	"        id: durability\n"
	"        with:\n"
	"          command: run durability/\n"
	"      - uses: actions/upload-artifact@v4\n"
	"        if: always()\n"
	"        with:\n"
	"          name: durability\n"
	"          path: ${{ steps.durability.outputs.report }}\n";

static const char gitlab_job[] =
	"# Written by `plugpull init`: fails when a power loss could lose what the scenarios in durability/\n"
	"# promise. It takes effect with \"include: {local: durability/gitlab-ci.yml}\" in .gitlab-ci.yml, on\n"
	"# Debian or Ubuntu. The variable PLUGPULL_REPOSITORY says where plugpull's source can be cloned\n"
	"# from; an image that has plugpull needs none.\n"
	"durability:\n"
	"  script:\n"
	"    - |\n"
	"      if ! command -v plugpull; then\n"
	"        git clone --depth 1 \"$PLUGPULL_REPOSITORY\" plugpull-source\n"
	"        make -C plugpull-source -j2 all\n"
	"        PATH=$PWD/plugpull-source/build:$PATH\n"
	"      fi\n"
	"    - plugpull run durability/ --report durability-report\n"
	"  artifacts:\n"
	"    when: always\n"
	"    paths: [durability-report/]\n"
	"    reports:\n"
	"      junit: durability-report/junit.xml\n";
/* clang-format on */

const struct init_file init_files[INIT_FILE_COUNT] = {
    {"durability/first.sql", "a scenario, with comments; it holds", first_scenario},
    {".github/workflows/durability.yml", "GitHub: runs it on every push", github_workflow},
    {"durability/gitlab-ci.yml", "GitLab: the same, as a job to include", gitlab_job},
};
