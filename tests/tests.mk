# Tests, benches and checks; the Makefile includes this.
unit       := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test-*.c))
fuzzers    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz-*.c))
testbin    := $(patsubst %.c,$(BUILD)/%,$(filter-out tests/bin/vmmanager% tests/bin/lib%,$(wildcard tests/bin/*.c)))
benchbin   := $(patsubst %.c,$(BUILD)/%,$(filter-out %/reattach.c,$(wildcard tests/bench/*.c)))
race       := $(BUILD)/tests/race/race-disks

$(race): $(call obj,$(wildcard tests/race/*.c)) $(client) $(common)
	$(LINKEXE)
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(supervisor) $(client) $(common) $(disks)
	$(LINKEXE)
# The library's objects: what is not public can be looked at, too.
managers   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test-manager*.c))
$(managers): %: %.o $(lib_o)
	$(LINKEXE)
# Its lock_manager.h is a stand-in.
$(BUILD)/tests/unit/test-domain-lock: $(BUILD)/tests/unit/test-domain-lock.o $(call obj,$(wildcard libsupervise/domain_lock*.c))
	$(LINKEXE)
$(BUILD)/tests/fuzz/fuzz-%: $(BUILD)/tests/fuzz/fuzz-%.o $(if $(FUZZER),,$(BUILD)/tests/fuzz/replay.o) $(supervisor) $(common) $(disks)
	$(LINKEXE) $(FUZZER)

# Stand-ins and measuring tools: static, none of our code in them.
$(testbin) $(benchbin): $(BUILD)/%: %.c
	@mkdir -p $(@D)
	$(CC) -O2 -g -Wall -Wextra -std=gnu11 -D_GNU_SOURCE -static -MMD -MP -o $@ $<

tests: $(programs) $(solib) $(vmmanager) $(unit) $(fuzzers) $(testbin) $(race) $(mans) $(catalog) $(BUILD)/tables
check: deps ## build, and run every test (JOBS=N; STRICT=1: a skip fails)
	+$(MAKE) -j$(JOBS) tests
	tests/lib/check.sh $(BUILD) $(JOBS)
check-long: check ## the same, and what takes minutes: races (RACE_SECONDS=180), systemd in a container, threads
	tests/lib/deps.sh long
	BUILD=$(abspath $(BUILD)) prove --exec '' --timer tests/long/*.bats
	tests/race/run.sh $(BUILD) $(or $(RACE_SECONDS),180)
	+$(MAKE) check-tsan
check-asan: deps ## the same under AddressSanitizer and UBSan
	+$(MAKE) -j$(JOBS) tests BUILD=build-asan HARDEN= CFLAGS="-O1 -g" \
	  SANITIZE="-fsanitize=address,undefined -fno-sanitize-recover=all"
	tests/lib/check.sh build-asan $(JOBS)
check-tsan: deps ## the library under ThreadSanitizer, with more threads' rounds (ROUNDS, FORKS)
	+$(MAKE) -j$(JOBS) tests
	+$(MAKE) -j$(JOBS) tests-tsan BUILD=build-tsan HARDEN= CFLAGS="-O1 -g" SANITIZE=-fsanitize=thread
tests-tsan: $(vmmanager) $(managers)
	tests/lib/check-tsan.sh build $(BUILD) $(managers)
# valgrind (3.19) has neither pidfd_open nor limits of its own.
no_valgrind = $(patsubst %,$(BUILD)/tests/unit/test-%,driver-file handover sweep guard-wire $(patsubst %,manager-%,deadlines ends phases start))
check-valgrind: ## the unit tests, and managers, under valgrind
	tests/lib/deps.sh valgrind
	+$(MAKE) -j$(JOBS) tests
	set -e; for t in $(filter-out $(no_valgrind),$(unit)); do valgrind -q --leak-check=full --error-exitcode=9 $$t; done
	VALGRIND=1 BUILD=$(abspath $(BUILD)) prove --exec '' --timer tests/e2e/54-library.bats tests/e2e/58-library-ends.bats
coverage: ## which lines the tests reach
	tests/lib/deps.sh coverage
	+$(MAKE) -j$(JOBS) tests BUILD=build-coverage HARDEN= CFLAGS="-O0 -g" SANITIZE=--coverage
	-tests/lib/check.sh build-coverage $(JOBS)
	gcovr -r . -e tests build-coverage
fuzz: ## let the fuzzers run, FUZZ_SECONDS (60) each
	tests/lib/deps.sh fuzz
	+$(MAKE) -j$(JOBS) run-fuzz BUILD=build-fuzz CC=clang HARDEN= CFLAGS="-O1 -g" FUZZER=-fsanitize=fuzzer \
	  SANITIZE="-fsanitize=address,undefined,fuzzer-no-link"
run-fuzz: $(fuzzers)
	set -e; for f in $(fuzzers); do c=corpus/$${f##*/}; mkdir -p $(BUILD)/$$c; \
	  $$f -max_total_time=$(or $(FUZZ_SECONDS),60) -timeout=10 -artifact_prefix=$(BUILD)/ $(BUILD)/$$c tests/fuzz/$$c; done
model: ## lock protocol and machine, in every order (MODEL_ARGS=--long)
	tests/lib/deps.sh model
	+$(MAKE) -j$(JOBS) run-model
run-model: $(BUILD)/tables
	BUILD=$(BUILD) tests/model/run.sh $(MODEL_ARGS)
bench: ## cost beside other wrappers (BENCH_ARGS=--quick)
	tests/lib/deps.sh bench
	+$(MAKE) -j$(JOBS) run-bench BUILD=build-bench LINK=static
run-bench: $(programs) $(benchbin) $(BUILD)/tests/bench/reattach
	BUILD=$(BUILD) tests/bench/run.sh $(BENCH_ARGS)
demo: ## a real guest: its disk leased, a second start refused, revoked
	tests/lib/deps.sh demo
	+$(MAKE) -j$(JOBS) run-demo
run-demo: $(programs)
	BUILD=$(BUILD) tests/demo/demo.sh
lint: ## house rules, static analysis, man pages
	tests/lib/deps.sh lint
	+$(MAKE) -j$(JOBS) run-lint
run-lint: $(programs) $(solib) $(mans)
	BUILD=$(BUILD) tests/lib/lint.sh $(BASE_CPPFLAGS)
