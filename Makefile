# plugpull: build, demo, tests. `make help` lists the targets.
#
#   BUILD=dir     where everything that is built goes (default: build)
#   CC=clang      another compiler; give it a build folder of its own
#   WERROR=       let warnings be warnings
#   V=1           show the commands
#   BOOTSTRAP=:   do not look for missing packages

BUILD     ?= build
ifeq ($(origin CC),default)
CC        := gcc
endif
OPT       ?= -O2 -g
WERROR    ?= -Werror
SAN       ?=
JOBS      ?= 2
BOOTSTRAP ?= sh .ci/bootstrap
PATIENCE  ?= 1
FUZZ_SECONDS ?= 20

PKGS      := sqlite3 jansson libxxhash gmp
STD       := -std=gnu11 -I. -D_GNU_SOURCE
WARN      := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
             -Wformat=2

# pkg-config is asked when the first command that needs it runs, once: on a bare machine it does not
# exist before the bootstrap has run.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)

COMPILE    = $(CC) $(STD) $(PKG_CFLAGS) $(CPPFLAGS) $(WARN) $(WERROR) $(OPT) $(SAN) \
             -fno-omit-frame-pointer $(CFLAGS)
LINK       = $(CC) $(SAN) $(LDFLAGS)
LIBS       = $(PKG_LIBS) -lpthread -ldl $(LDLIBS)

# Every .c file belongs to the library, except main.c, the benchmarks and what is in test/ folders.
# There, test_*.c is a cmocka program, fuzz_*.c a libFuzzer program, and any other file is linked
# with both.
BENCH_SRC := $(wildcard harness/bench/*.c)
LIB_SRC   := $(filter-out harness/cli/main.c $(BENCH_SRC) $(wildcard */test/*.c), \
               $(wildcard store/*.c faultinject/*.c faultinject/*/*.c harness/*/*.c reports/*.c))
TEST_SRC  := $(wildcard */test/test_*.c */*/test/test_*.c)
FUZZ_SRC  := $(wildcard */test/fuzz_*.c */*/test/fuzz_*.c)
LIB_OBJ   := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
TESTS     := $(foreach t,$(TEST_SRC),$(BUILD)/test/$(basename $(notdir $(t))))
FUZZERS   := $(foreach t,$(FUZZ_SRC),$(BUILD)/fuzz/$(basename $(notdir $(t))))
ifneq ($(words $(TESTS) $(FUZZERS)),$(words $(sort $(TESTS) $(FUZZERS))))
$(error two test programs have the same file name; rename one of: $(sort $(TEST_SRC) $(FUZZ_SRC)))
endif

MAKEFLAGS += --no-print-directory
Q         := $(if $(filter 1,$(V)),,@)
say        = @echo "  $(1)	$(2)"

.PHONY: all tests fuzzers demo check check-long bench san tidy fuzz coverage clean help bootstrap \
        bootstrap-clang
.DEFAULT_GOAL := all

all: $(BUILD)/plugpull ## build the program, build/plugpull
tests: $(TESTS)
fuzzers: $(FUZZERS)

demo: bootstrap ## the main job: prove the event store, lose events on purpose, replay, kill
	@$(MAKE) -j$(JOBS) all
	@sh scenarios/demo.sh $(BUILD)/plugpull

check: bootstrap ## build and run every test; last line: N passed, N failed
	@$(MAKE) -k -j$(JOBS) all tests; \
	python3 .ci/run-tests --build $(BUILD) --build-status $$? --patience $(PATIENCE) $(TESTS)

check-long: bootstrap ## what takes half an hour: a million recoveries of sound settings, versions, mutants
	@$(MAKE) -j$(JOBS) all
	python3 .ci/check-long --build $(BUILD)
	python3 .ci/check-long --build $(BUILD) --depth 2 --recoveries 200000 --seeds 4
	python3 harness/cli/test/models_test.py $(BUILD)/plugpull --long
	python3 harness/cli/test/matrix_test.py $(BUILD)/plugpull --long
	$(BUILD)/plugpull mutate scenarios/
	python3 .ci/sqlite-versions --into $(BUILD)/sqlite
	python3 .ci/sqlite-history --check --build $(BUILD)
	python3 .ci/mutants

bench: bootstrap ## the numbers, against other ways to get them; see docs/benchmarks.md
	@$(MAKE) -j$(JOBS) all $(BUILD)/bench/plugpull-bench
	@python3 -B harness/bench/run.py --build $(BUILD)

san: ## the same tests under the address and undefined-behaviour sanitizers
	@$(MAKE) check BUILD=$(BUILD)-san CC=gcc OPT='-O1 -g' PATIENCE=5 \
		SAN='-fsanitize=address,undefined -fno-sanitize-recover=all'

tidy: bootstrap-clang ## build with clang and gcc without a warning, clang-tidy, format, layers
	@$(MAKE) -k -j$(JOBS) BUILD=$(BUILD)-clang CC=clang all tests; clang=$$?; \
	$(MAKE) -k -j$(JOBS) CC=gcc all tests; gcc=$$?; \
	sh .ci/tidy $(STD) $(PKG_CFLAGS) && exit $$((clang | gcc))

fuzz: bootstrap-clang ## fuzz every parser of foreign bytes, FUZZ_SECONDS=20 each
	@$(MAKE) -j$(JOBS) BUILD=$(BUILD)-fuzz CC=clang OPT='-O1 -g' fuzzers \
		SAN='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all'
	@sh .ci/fuzz $(BUILD)-fuzz $(FUZZ_SECONDS) $(FUZZERS:$(BUILD)/%=$(BUILD)-fuzz/%)

# Children that end with _exit() write their counters only if they call __gcov_dump() first, which
# the code does under PLUGPULL_COVERAGE.
coverage: bootstrap ## the tests with coverage; prints the line figure, pages in build-cov/html
	@[ ! -d $(BUILD)-cov ] || find $(BUILD)-cov -name '*.gcda' -delete
	@$(MAKE) check BUILD=$(BUILD)-cov CC=gcc OPT='-O1 -g' PATIENCE=5 \
		SAN='--coverage -fprofile-update=atomic -DPLUGPULL_COVERAGE'; tests=$$?; \
	sh .ci/coverage $(BUILD)-cov && exit $$tests

clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD)-san $(BUILD)-clang $(BUILD)-fuzz $(BUILD)-cov

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

bootstrap:
	@$(BOOTSTRAP)

bootstrap-clang:
	@$(BOOTSTRAP) clang

$(BUILD)/plugpull: $(BUILD)/obj/harness/cli/main.o $(BUILD)/libplugpull.a
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(BUILD)/libplugpull.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

$(BUILD)/bench/plugpull-bench: $(BENCH_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/libplugpull.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

# The objects of a test or fuzz program: its own, and those of its folder's helper files.
test_objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1) \
                 $(filter-out $(dir $(1))test_%.c $(dir $(1))fuzz_%.c,$(wildcard $(dir $(1))*.c)))

define TEST_RULE
$(BUILD)/test/$(basename $(notdir $(1))): $(call test_objects,$(1)) $(BUILD)/libplugpull.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(LINK) -o $$@ $$^ -lcmocka $$(LIBS)
endef
$(foreach t,$(TEST_SRC),$(eval $(call TEST_RULE,$(t))))

define FUZZ_RULE
$(BUILD)/fuzz/$(basename $(notdir $(1))): $(call test_objects,$(1)) $(BUILD)/libplugpull.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(LINK) -fsanitize=fuzzer -o $$@ $$^ $$(LIBS)
endef
$(foreach t,$(FUZZ_SRC),$(eval $(call FUZZ_RULE,$(t))))

$(BUILD)/obj/%.o: %.c | bootstrap
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

-include $(patsubst %.c,$(BUILD)/obj/%.d,$(LIB_SRC) $(BENCH_SRC) harness/cli/main.c $(wildcard */test/*.c */*/test/*.c))
