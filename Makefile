# plugpull: build, demo, tests. `make help` lists the targets.
#
#   BUILD=dir     where everything that is built goes (default: build)
#   CC=clang      another compiler; give it a build folder of its own
#   WERROR=       let warnings be warnings
#   V=1           show the commands
#   BOOTSTRAP=:   do not look for missing packages
#   PREFIX=dir    where `make install` installs (default: /usr/local); LIBDIR=, INCLUDEDIR=, DATADIR=
#                 and MANDIR= say it of the libraries, headers, completions and the manual alone
#   DESTDIR=dir   put in front of every installed path, to stage a package

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
PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR    ?= $(PREFIX)/share
MANDIR     ?= $(DATADIR)/man
DESTDIR    ?=
VERSION   := $(shell sed -n 's/^\#define PLUGPULL_VERSION "\(.*\)"/\1/p' harness/case/version.h)

PKGS      := sqlite3 jansson libxxhash gmp
STD       := -std=gnu11 -I. -D_GNU_SOURCE
WARN      := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
             -Wformat=2

# pkg-config is asked when the first command that needs it runs, once: on a bare machine it does not
# exist before the bootstrap has run.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $$(shell pkg-config --libs $(PKGS)))$(PKG_LIBS)
STORE_LIBS = $(eval STORE_LIBS := $$(shell pkg-config --libs sqlite3) -lpthread)$(STORE_LIBS)

COMPILE    = $(CC) $(STD) $(PKG_CFLAGS) $(CPPFLAGS) $(WARN) $(WERROR) $(OPT) $(SAN) \
             -fno-omit-frame-pointer $(AS_LIBRARY) $(CFLAGS)
LINK       = $(CC) $(SAN) $(LDFLAGS)
LIBS       = $(PKG_LIBS) -lpthread -ldl $(LDLIBS)

# The store is a library of its own. The archive that is installed is the one that the program and
# the tests are linked with. Its public headers are store.h and those that it includes.
STORE_SRC := $(wildcard store/*.c)
STORE_OBJ := $(STORE_SRC:%.c=$(BUILD)/obj/%.o)
STORE_HEADERS := $(sort store/store.h \
                   $(shell sed -n 's|^\#include "\(.*\)".*|store/\1|p' store/store.h))
STORE_A   := $(BUILD)/libplugpull-store.a
STORE_SO  := libplugpull-store.so
STORE_SONAME := $(STORE_SO).$(firstword $(subst ., ,$(VERSION)))

# pp_run(), for people's own tests: what it needs of the program's library, which shows nothing but
# its own names. The version script says which.
RUN_NAMES := harness/library/pp_run.map
RUN_HEADERS := harness/library/pp_run.h faultinject/record/plugpull.h
RUN_A     := $(BUILD)/libplugpull-run.a
RUN_SO    := libplugpull-run.so
RUN_SONAME := $(RUN_SO).$(firstword $(subst ., ,$(VERSION)))

# Made of the tables of commands and options by a program that is not installed.
GENERATE_SRC := $(wildcard harness/cli/generate/*.c)
GENERATED := $(addprefix $(BUILD)/share/,plugpull.1 plugpull.bash _plugpull plugpull.fish)

# Where the program looks, from its own place, for what it loads into others: not in LIBDIR, which
# need not be beside it.
PRIVATE   := $(PREFIX)/lib/plugpull

# The loadable extension calls SQLite through the table that it is given (sqlite3ext.h), so its files
# are in nothing else. What it shares with the program is compiled again, as a library.
EXT_OWN   := faultinject/extension.c $(wildcard faultinject/vfs_record*.c)
EXT_SRC   := $(EXT_OWN) faultinject/record/log.c faultinject/record/log_table.c \
             faultinject/base/err.c
EXT_OBJ   := $(EXT_SRC:%.c=$(BUILD)/pic/%.o)

# So is the recorder that is loaded into other programs.
PRELOAD_OWN := $(wildcard faultinject/record/preload*.c)
PRELOAD_SRC := $(PRELOAD_OWN) $(addprefix faultinject/record/,log.c log_table.c visible.c)
PRELOAD_OBJ := $(PRELOAD_SRC:%.c=$(BUILD)/preload/%.o)

# Every other .c file belongs to the program's library, except main.c, the benchmarks, the examples
# and what is in test/ folders. There, test_*.c is a cmocka program, fuzz_*.c a libFuzzer program,
# and any other file is linked with both.
BENCH_SRC := $(wildcard harness/bench/*.c)
STORE_BENCH_SRC := $(wildcard store/bench/*.c)
LIB_SRC   := $(filter-out harness/cli/main.c $(EXT_OWN) $(PRELOAD_OWN) $(BENCH_SRC) $(wildcard */test/*.c), \
               $(wildcard faultinject/*.c faultinject/*/*.c harness/*/*.c reports/*.c))
TEST_SRC  := $(wildcard */test/test_*.c */*/test/test_*.c)
FUZZ_SRC  := $(wildcard */test/fuzz_*.c */*/test/fuzz_*.c)
LIB_OBJ   := $(LIB_SRC:%.c=$(BUILD)/obj/%.o)
TESTS     := $(foreach t,$(TEST_SRC),$(BUILD)/test/$(basename $(notdir $(t))))
STORE_TESTS := $(foreach t,$(filter store/%,$(TEST_SRC)),$(BUILD)/test/$(basename $(notdir $(t))))
FUZZERS   := $(foreach t,$(FUZZ_SRC),$(BUILD)/fuzz/$(basename $(notdir $(t))))
ifneq ($(words $(TESTS) $(FUZZERS)),$(words $(sort $(TESTS) $(FUZZERS))))
$(error two test programs have the same file name; rename one of: $(sort $(TEST_SRC) $(FUZZ_SRC)))
endif

MAKEFLAGS += --no-print-directory
Q         := $(if $(filter 1,$(V)),,@)
say        = @echo "  $(1)	$(2)"

.PHONY: all tests store-tests fuzzers demo check check-real check-long bench bench-store san tsan \
        tidy fuzz coverage install install-store install-tool uninstall uninstall-store \
        uninstall-tool clean help bootstrap bootstrap-clang bootstrap-real
.DEFAULT_GOAL := all

BUILT = $(BUILD)/plugpull $(BUILD)/libplugpull-record.so $(BUILD)/plugpull.so $(STORE_A) \
        $(BUILD)/$(STORE_SO) $(RUN_A) $(BUILD)/$(RUN_SO) $(GENERATED)
all: $(BUILT) ## build the program, the recorders, the libraries and the manual
tests: $(TESTS)
store-tests: $(STORE_TESTS)
fuzzers: $(FUZZERS)

demo: bootstrap ## the main job: prove the event store, lose events on purpose, replay, kill
	@$(MAKE) -j$(JOBS) all
	@sh scenarios/demo.sh $(BUILD)/plugpull

check: bootstrap ## build and run every test; last line: N passed, N failed
	@$(MAKE) -k -j$(JOBS) all tests; \
	python3 .ci/run-tests --build $(BUILD) --build-status $$? --patience $(PATIENCE) $(TESTS)

check-real: bootstrap-real ## real programs, a browser, CMake, shells: none made for this (needs npm)
	@$(MAKE) -j$(JOBS) all $(BUILD)/test/test_html
	@python3 .ci/check-real --build $(BUILD)

check-long: bootstrap ## what takes an hour: a million recoveries, every sync of the store failing, versions, mutants
	@$(MAKE) -j$(JOBS) all
	python3 .ci/check-long --build $(BUILD)
	python3 .ci/check-long --build $(BUILD) --depth 2 --recoveries 200000 --seeds 4
	@$(MAKE) -j$(JOBS) tests
	PLUGPULL_LONG=1 $(BUILD)/test/test_equivalence
	PLUGPULL_LONG=1 $(BUILD)/test/test_random_traces
	PLUGPULL_LONG=1 $(BUILD)/test/test_random_again
	STORE_TEST_LONG=1 $(BUILD)/test/test_store_fault
	python3 .ci/check-store --build $(BUILD)
	python3 harness/cli/test/models_test.py $(BUILD)/plugpull --long
	python3 harness/cli/test/matrix_long.py $(BUILD)/plugpull --long
	$(BUILD)/plugpull mutate scenarios/
	python3 .ci/sqlite-versions --into $(BUILD)/sqlite
	python3 .ci/sqlite-history --check --build $(BUILD)
	python3 .ci/mutants

bench: bootstrap ## the numbers, against other ways to get them; see docs/benchmarks.md
	@$(MAKE) -j$(JOBS) all $(BUILD)/bench/plugpull-bench
	@python3 -B harness/bench/run.py --build $(BUILD)

bench-store: bootstrap ## the numbers of the store library
	@$(MAKE) -j$(JOBS) $(BUILD)/bench/store-bench
	@python3 -B store/bench/run.py --build $(BUILD)

san: ## the same tests under the address and undefined-behaviour sanitizers
	@$(MAKE) check BUILD=$(BUILD)-san CC=gcc OPT='-O1 -g' PATIENCE=5 \
		SAN='-fsanitize=address,undefined -fno-sanitize-recover=all'

tsan: bootstrap ## the store's tests under the thread sanitizer
	@$(MAKE) -k -j$(JOBS) BUILD=$(BUILD)-tsan CC=gcc OPT='-O1 -g' SAN=-fsanitize=thread \
		store-tests; \
	python3 .ci/run-tests --programs-only --build $(BUILD)-tsan --build-status $$? --patience 5 \
		$(STORE_TESTS:$(BUILD)/%=$(BUILD)-tsan/%)

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

install: install-store install-tool ## install everything below PREFIX=/usr/local

uninstall: uninstall-store uninstall-tool ## remove what `make install` with the same PREFIX put there

# What is installed, and where; `uninstall-tool` removes just that.
TOOL_FILES = $(PREFIX)/bin/plugpull $(PRIVATE)/libplugpull-record.so $(PRIVATE)/plugpull.so \
             $(addprefix $(LIBDIR)/,$(notdir $(RUN_A)) $(RUN_SO) $(RUN_SONAME) $(RUN_SO).$(VERSION) \
               pkgconfig/plugpull.pc) \
             $(addprefix $(INCLUDEDIR)/plugpull/,$(notdir $(RUN_HEADERS))) \
             $(MANDIR)/man1/plugpull.1 $(DATADIR)/bash-completion/completions/plugpull \
             $(DATADIR)/zsh/site-functions/_plugpull \
             $(DATADIR)/fish/vendor_completions.d/plugpull.fish

install-tool: all
	$(call say,INSTALL,$(DESTDIR)$(PREFIX)/bin/plugpull)
	$(Q)install -d $(foreach f,$(sort $(dir $(TOOL_FILES))),'$(DESTDIR)$(f)')
	$(Q)install -m 755 $(BUILD)/plugpull '$(DESTDIR)$(PREFIX)/bin'
	$(Q)install -m 644 $(BUILD)/libplugpull-record.so $(BUILD)/plugpull.so '$(DESTDIR)$(PRIVATE)'
	$(Q)install -m 644 $(RUN_A) $(BUILD)/$(RUN_SO).$(VERSION) '$(DESTDIR)$(LIBDIR)'
	$(Q)ln -sf $(RUN_SO).$(VERSION) '$(DESTDIR)$(LIBDIR)/$(RUN_SONAME)'
	$(Q)ln -sf $(RUN_SONAME) '$(DESTDIR)$(LIBDIR)/$(RUN_SO)'
	$(Q)install -m 644 $(RUN_HEADERS) '$(DESTDIR)$(INCLUDEDIR)/plugpull'
	$(Q)install -m 644 $(BUILD)/share/plugpull.1 '$(DESTDIR)$(MANDIR)/man1'
	$(Q)install -m 644 $(BUILD)/share/plugpull.bash \
		'$(DESTDIR)$(DATADIR)/bash-completion/completions/plugpull'
	$(Q)install -m 644 $(BUILD)/share/_plugpull '$(DESTDIR)$(DATADIR)/zsh/site-functions'
	$(Q)install -m 644 $(BUILD)/share/plugpull.fish '$(DESTDIR)$(DATADIR)/fish/vendor_completions.d'
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' \
		'libdir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))' \
		'includedir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))' '' \
		'Name: plugpull' \
		'Description: pp_run(): every power loss that a test of SQLite code could meet' \
		'Version: $(VERSION)' 'Requires.private: $(PKGS)' \
		'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lplugpull-run$(if $(SAN), $(SAN))' \
		'Libs.private: -lpthread -ldl' >'$(DESTDIR)$(LIBDIR)/pkgconfig/plugpull.pc'
	$(Q)[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || ldconfig || :

uninstall-tool:
	$(call say,REMOVE,$(DESTDIR)$(PREFIX)/bin/plugpull)
	$(Q)rm -f $(foreach f,$(TOOL_FILES),'$(DESTDIR)$(f)')
	$(Q)for d in '$(DESTDIR)$(PRIVATE)' '$(DESTDIR)$(INCLUDEDIR)/plugpull'; do \
		[ ! -d "$$d" ] || rmdir --ignore-fail-on-non-empty "$$d"; done

# A library that was built with a sanitizer or with coverage says so to whoever links it.
install-store: $(STORE_A) $(BUILD)/$(STORE_SO)
	$(call say,INSTALL,$(DESTDIR)$(LIBDIR)/$(STORE_SO))
	$(Q)install -d '$(DESTDIR)$(INCLUDEDIR)/plugpull' '$(DESTDIR)$(LIBDIR)/pkgconfig'
	$(Q)install -m 644 $(STORE_HEADERS) '$(DESTDIR)$(INCLUDEDIR)/plugpull'
	$(Q)install -m 644 $(STORE_A) $(BUILD)/$(STORE_SO).$(VERSION) '$(DESTDIR)$(LIBDIR)'
	$(Q)ln -sf $(STORE_SO).$(VERSION) '$(DESTDIR)$(LIBDIR)/$(STORE_SONAME)'
	$(Q)ln -sf $(STORE_SONAME) '$(DESTDIR)$(LIBDIR)/$(STORE_SO)'
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' \
		'libdir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(LIBDIR))' \
		'includedir=$(patsubst $(PREFIX)/%,$${prefix}/%,$(INCLUDEDIR))' '' \
		'Name: plugpull-store' \
		'Description: durable store in one SQLite file: events, conversations, files, workflows' \
		'Version: $(VERSION)' 'Requires.private: sqlite3 >= 3.16.0' \
		'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lplugpull-store$(if $(SAN), $(SAN))' \
		'Libs.private: -lpthread' >'$(DESTDIR)$(LIBDIR)/pkgconfig/plugpull-store.pc'
	$(Q)[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || ldconfig || :

uninstall-store:
	$(call say,REMOVE,$(DESTDIR)$(LIBDIR)/$(STORE_SO))
	$(Q)rm -f $(foreach f,$(notdir $(STORE_A)) $(STORE_SO) $(STORE_SONAME) $(STORE_SO).$(VERSION) \
		pkgconfig/plugpull-store.pc,'$(DESTDIR)$(LIBDIR)/$(f)') \
		$(foreach f,$(notdir $(STORE_HEADERS)),'$(DESTDIR)$(INCLUDEDIR)/plugpull/$(f)')
	$(Q)[ ! -d '$(DESTDIR)$(INCLUDEDIR)/plugpull' ] || \
		rmdir --ignore-fail-on-non-empty '$(DESTDIR)$(INCLUDEDIR)/plugpull'

clean: ## remove what was built
	rm -rf $(BUILD) $(BUILD)-san $(BUILD)-tsan $(BUILD)-clang $(BUILD)-fuzz $(BUILD)-cov

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

bootstrap:
	@$(BOOTSTRAP)

bootstrap-clang:
	@$(BOOTSTRAP) clang

bootstrap-real:
	@$(BOOTSTRAP) real

$(BUILD)/plugpull: $(BUILD)/obj/harness/cli/main.o $(BUILD)/libplugpull.a $(STORE_A)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

# The archives depend on the Makefile because it decides what is in them, and the store's objects
# because it decides how they are compiled.
$(BUILD)/libplugpull.a: $(LIB_OBJ) Makefile
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $(LIB_OBJ)

$(STORE_OBJ): AS_LIBRARY := -fPIC -fvisibility=hidden
$(STORE_OBJ): Makefile

$(STORE_A): $(STORE_OBJ) Makefile
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $(STORE_OBJ)

# clang links no sanitizer into a shared library: its symbols come with the program.
$(BUILD)/$(STORE_SO): $(STORE_OBJ) harness/case/version.h Makefile
	$(call say,LINK,$@.$(VERSION))
	$(Q)$(LINK) -shared -Wl,-soname,$(STORE_SONAME) $(if $(SAN),,-Wl,-z,defs) \
		-o $@.$(VERSION) $(STORE_OBJ) $(STORE_LIBS)
	$(Q)ln -sf $(STORE_SO).$(VERSION) $(BUILD)/$(STORE_SONAME)
	$(Q)ln -sf $(STORE_SONAME) $@

# The program's objects are good for a library, too, and hide what it has of names. They depend on
# the list of those that it shows, because that came with the flags.
$(LIB_OBJ): AS_LIBRARY := -fPIC -fvisibility=hidden
$(LIB_OBJ): $(RUN_NAMES)

# One object of all that pp_run() needs, so that all other names can be made its own.
$(RUN_A): $(BUILD)/libplugpull.a $(RUN_NAMES)
	$(call say,AR,$@)
	$(Q)$(CC) -r -nostdlib -Wl,-u,pp_run -o $(@:.a=.o) $<
	$(Q)sed -n 's/^\t*\(pp_[a-z_]*\);$$/\1/p' $(RUN_NAMES) >$(@:.a=.names)
	$(Q)objcopy --keep-global-symbols=$(@:.a=.names) $(@:.a=.o)
	$(Q)rm -f $@ && ar rcs $@ $(@:.a=.o)

$(BUILD)/$(RUN_SO): $(RUN_A) $(RUN_NAMES) harness/case/version.h
	$(call say,LINK,$@.$(VERSION))
	$(Q)$(LINK) -shared -Wl,-soname,$(RUN_SONAME) -Wl,--version-script=$(RUN_NAMES) -Wl,--as-needed \
		$(if $(SAN),,-Wl,-z,defs) -Wl,-u,pp_run -o $@.$(VERSION) $(RUN_A) $(LIBS)
	$(Q)ln -sf $(RUN_SO).$(VERSION) $(BUILD)/$(RUN_SONAME)
	$(Q)ln -sf $(RUN_SONAME) $@

$(BUILD)/generate: $(GENERATE_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/libplugpull.a $(STORE_A)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(BUILD)/share/plugpull.1:    FORMAT := man
$(BUILD)/share/plugpull.bash: FORMAT := bash
$(BUILD)/share/_plugpull:     FORMAT := zsh
$(BUILD)/share/plugpull.fish: FORMAT := fish
$(GENERATED): $(BUILD)/generate
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)$(BUILD)/generate $(FORMAT) >$@.new && mv $@.new $@

# Other people's programs load it, so it is built without sanitizers.
$(EXT_OBJ): AS_LIBRARY := -fPIC -fvisibility=hidden
$(EXT_OBJ) $(BUILD)/plugpull.so: override SAN := $(filter-out -fsanitize% -fno-sanitize%,$(SAN))
$(EXT_OBJ): Makefile

$(BUILD)/plugpull.so: $(EXT_OBJ)
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -Wl,-z,defs -o $@ $^ -lpthread

# It comes into programs that are built in other ways, so it has no sanitizer, and needs nothing but
# the C library.
$(BUILD)/libplugpull-record.so: $(PRELOAD_OBJ) Makefile
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) -shared -Wl,-z,defs -Wl,-soname,$(@F) -o $@ $(PRELOAD_OBJ) -ldl -lpthread

$(PRELOAD_OBJ): override SAN :=
$(PRELOAD_OBJ): AS_LIBRARY := -fPIC -fvisibility=hidden -U_FORTIFY_SOURCE
$(PRELOAD_OBJ): $(BUILD)/preload/%.o: %.c Makefile | bootstrap
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/bench/plugpull-bench: $(BENCH_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/libplugpull.a $(STORE_A)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(BUILD)/bench/store-bench: $(STORE_BENCH_SRC:%.c=$(BUILD)/obj/%.o) $(STORE_A)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $^ $(STORE_LIBS) $(LDLIBS)

# The objects of a test or fuzz program: its own, and those of its folder's helper files.
test_objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1) \
                 $(filter-out $(dir $(1))test_%.c $(dir $(1))fuzz_%.c,$(wildcard $(dir $(1))*.c)))

# The store's tests see nothing but the store.
define TEST_RULE
$(BUILD)/test/$(basename $(notdir $(1))): $(call test_objects,$(1)) \
  $(if $(filter store/%,$(1)),,$(BUILD)/libplugpull.a) $(STORE_A)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(LINK) -o $$@ $$^ -lcmocka $(if $(filter store/%,$(1)),$$(STORE_LIBS) $$(LDLIBS),$$(LIBS))
endef
$(foreach t,$(TEST_SRC),$(eval $(call TEST_RULE,$(t))))

define FUZZ_RULE
$(BUILD)/fuzz/$(basename $(notdir $(1))): $(call test_objects,$(1)) $(BUILD)/libplugpull.a $(STORE_A)
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(LINK) -fsanitize=fuzzer -o $$@ $$^ -lcmocka $$(LIBS)
endef
$(foreach t,$(FUZZ_SRC),$(eval $(call FUZZ_RULE,$(t))))

# Nobody waits for what a test itself computes, and everybody for its compilation.
$(foreach t,store faultinject faultinject/base faultinject/format faultinject/record harness/case \
	harness/cli harness/drive harness/explain harness/explore harness/judge harness/library \
	harness/lint harness/scenario harness/shrink reports,$(BUILD)/obj/$(t)/test/%.o): OPT := -O0 -g1

$(BUILD)/obj/%.o: %.c | bootstrap
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

# The page of the HTML report is taken into this object by the assembler.
$(BUILD)/obj/reports/html_assets.o: $(wildcard reports/page/*)

$(BUILD)/pic/%.o: %.c | bootstrap
	@mkdir -p $(@D)
	$(call say,CC,$< (as a library))
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

-include $(EXT_OBJ:.o=.d)
-include $(PRELOAD_OBJ:.o=.d)
-include $(patsubst %.c,$(BUILD)/obj/%.d,$(LIB_SRC) $(GENERATE_SRC) $(STORE_SRC) $(BENCH_SRC) $(STORE_BENCH_SRC) harness/cli/main.c $(wildcard */test/*.c */*/test/*.c))
