# virt-lock-supervisor. `make help` lists the targets.
VERSION    := $(shell cat VERSION)
PREFIX     ?= /usr/local
bindir     ?= $(PREFIX)/bin
sbindir    ?= $(PREFIX)/sbin
mandir     ?= $(PREFIX)/share/man
docdir     ?= $(PREFIX)/share/doc/virt-lock-supervisor
BUILD      ?= build
LINK       ?= shared
CC         ?= gcc
CFLAGS     ?= -O2 -g
PROVE_JOBS ?= $(shell nproc)

# A few megabytes of packages are only needed by some targets: tests/lib/deps.sh
# knows which. `all` and `install` never install anything.
PKGS    = glib-2.0 jansson libcap-ng
goals   = $(or $(MAKECMDGOALS),all)
ifneq ($(filter-out clean help deps demo check dist uninstall,$(goals)),)
missing := $(shell for p in $(PKGS) libseccomp; do pkg-config --exists $$p || echo $$p; done)
ifneq ($(missing),)
$(error cannot find the development files of: $(missing); run 'make deps')
endif
endif
pkg_cflags := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
ifeq ($(LINK),static)   # everything but libc
pkg_libs := -Wl,-Bstatic $(shell pkg-config --static --libs $(PKGS) 2>/dev/null) -Wl,-Bdynamic
else
pkg_libs := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
endif

BASE_CPPFLAGS = -D_GNU_SOURCE -DVERSION='"$(VERSION)"' -DG_LOG_DOMAIN='"virt-lock-supervisor"' \
  -Ilibsupervise -I$(BUILD) $(pkg_cflags)
BASE_CFLAGS = -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
  -Wformat=2 -Wno-unused-parameter $(if $(WERROR),-Werror) -fvisibility=hidden -fPIE \
  -fstack-protector-strong $(SANITIZE)
HARDEN ?= -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
BASE_LDFLAGS = -pie -Wl,-z,relro,-z,now,--as-needed $(SANITIZE)
COMPILE = $(CC) $(BASE_CPPFLAGS) $(HARDEN) $(CPPFLAGS) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
LINKEXE = $(CC) $(BASE_LDFLAGS) $(LDFLAGS) $(CFLAGS) -o $@ $(filter %.o,$^) $(pkg_libs)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
common     := $(call obj,libsupervise/qmp.c libsupervise/places.c libsupervise/record.c libsupervise/resource.c)
supervisor := $(call obj,$(filter-out supervisor/main.c supervisor/seccomp_gen.c,$(wildcard supervisor/*.c)))
lockctl    := $(call obj,$(wildcard helpers/virt-lockctl*.c) libsupervise/client.c libsupervise/client_find.c)
unit       := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test-*.c))
fuzz       := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz-*.c))
bin        := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/bin/*.c tests/bench/*.c))
pods       := $(wildcard docs/*.pod)
mans       := $(patsubst docs/%.pod,$(BUILD)/docs/%,$(pods))
programs   := $(BUILD)/virt-lock-supervisor $(BUILD)/virt-lockctl

.PHONY: all help deps check check-asan check-valgrind coverage fuzz bench demo lint install uninstall dist clean tests
.SECONDARY:
.DELETE_ON_ERROR:

all: $(programs) $(mans) ## build the programs and man pages

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20

deps: ## install the Debian packages that are missing
	tests/lib/deps.sh

$(BUILD)/virt-lock-supervisor: $(BUILD)/supervisor/main.o $(supervisor) $(common)
	$(LINKEXE)
$(BUILD)/virt-lockctl: $(lockctl) $(common)
	$(LINKEXE)
$(BUILD)/tables: $(BUILD)/tests/bin/tables.o $(supervisor) $(common)
	$(LINKEXE)
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(supervisor) $(common) $(filter-out $(BUILD)/helpers/%,$(lockctl))
	$(LINKEXE)
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(supervisor) $(common)
	$(LINKEXE)
$(BUILD)/tests/bin/%: tests/bin/%.c
	@mkdir -p $(@D)
	$(CC) -O2 -g -Wall -Wextra -std=gnu11 -D_GNU_SOURCE -static -o $@ $<
$(BUILD)/tests/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(CC) -O2 -g -Wall -Wextra -std=gnu11 -D_GNU_SOURCE -static -o $@ $<

$(BUILD)/seccomp_gen: supervisor/seccomp_gen.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(if $(SANITIZE),-DSANITIZED) -o $@ $< $(shell pkg-config --cflags --libs libseccomp)
$(BUILD)/seccomp_filter.h: $(BUILD)/seccomp_gen
	$< > $@
$(BUILD)/supervisor/confine.o: $(BUILD)/seccomp_filter.h

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(COMPILE)

$(BUILD)/docs/%: docs/%.pod VERSION
	@mkdir -p $(@D)
	pod2man --section=$(patsubst .%,%,$(suffix $*)) --name=$(shell echo $(basename $*) | tr a-z A-Z) \
	  --center="virt-lock-supervisor" --release="$(VERSION)" $< $@

clean: ## remove what was built
	rm -rf $(BUILD) build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
