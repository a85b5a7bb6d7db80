# virt-lock-supervisor. `make help` lists the targets.
VERSION := $(shell cat VERSION)
PREFIX  ?= /usr/local
bindir  ?= $(PREFIX)/bin
sbindir ?= $(PREFIX)/sbin
libexecdir ?= $(PREFIX)/libexec
mandir  ?= $(PREFIX)/share/man
docdir  ?= $(PREFIX)/share/doc/virt-lock-supervisor
compdir ?= $(PREFIX)/share/bash-completion/completions
completed = virt-lockctl virt-lock-supervisor virt-lock-disks
unitdir ?= $(PREFIX)/lib/systemd/system
catalogdir ?= $(PREFIX)/lib/systemd/catalog
BUILD   ?= build
LINK    ?= shared
CFLAGS  ?= -O2 -g
JOBS    ?= $(shell nproc)
# Only `deps`, and what calls it, installs packages; `all` and `install` say what is missing.
PKGS = glib-2.0 jansson libcap-ng
ifneq ($(filter-out check% clean help deps demo bench lint fuzz coverage model dist uninstall,$(or $(MAKECMDGOALS),all)),)
missing := $(shell for p in $(PKGS) libseccomp; do pkg-config --exists $$p || echo $$p; done)
ifneq ($(missing),)
$(error cannot find the development files of: $(missing); run 'make deps')
endif
endif
pkg_cflags := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
ifeq ($(LINK),static) # libc too: user names of --user then need the same glibc where it runs
pkg_cflags += -DGLIB_IS_STATIC
pkg_libs := -static-pie $(shell pkg-config --static --libs $(PKGS) 2>/dev/null)
else
pkg_libs := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
endif

# CPPFLAGS, CFLAGS and LDFLAGS are the user's; SANITIZE and HARDEN are for the targets below.
HARDEN ?= -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
BASE_CPPFLAGS = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVERSION='"$(VERSION)"' -Ilibsupervise -I$(BUILD) $(pkg_cflags)
BASE_CFLAGS = -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
  -Wformat=2 -Wno-unused-parameter $(if $(WERROR),-Werror) -fvisibility=hidden -fPIE $(SANITIZE)
BASE_LDFLAGS = -pie -Wl,-z,relro,-z,now,--as-needed $(SANITIZE)
LINKEXE = $(CC) $(BASE_LDFLAGS) $(LDFLAGS) $(CFLAGS) -o $@ $(filter %.o %.a,$^) $(pkg_libs)

obj = $(patsubst %.c,$(BUILD)/%.o,$(1))
common     := $(call obj,$(patsubst %,libsupervise/%.c,qmp places record record_read resource opened settings))
supervisor := $(call obj,$(filter-out %/main.c %/seccomp_gen.c,$(wildcard supervisor/*.c)))
client     := $(call obj,$(wildcard libsupervise/client*.c))
disks      := $(call obj,$(wildcard helpers/virt-lock-disks-*.c))
programs   := $(BUILD)/virt-lock-supervisor $(BUILD)/virt-lockctl $(BUILD)/virt-lock-disks $(BUILD)/virt-lock-guard
guard      := $(call obj,$(wildcard helpers/virt-lock-guard*.c) $(patsubst %,supervisor/%.c,sweep drain guard_wire))
unit_file  := virt-lock-supervisor@.service
mans       := $(patsubst %.pod,$(BUILD)/%,$(wildcard docs/*.pod))
catalog    := $(BUILD)/virt-lock-supervisor.catalog
makefiles  := Makefile tests/tests.mk libsupervise/libsupervise.mk

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' $(makefiles))
.SECONDARY:
.DELETE_ON_ERROR:

include libsupervise/libsupervise.mk

all: $(programs) $(solib) $(mans) $(catalog) ## build the programs, the library and the man pages

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(makefiles) | expand -t 20

deps: ## install the Debian packages that are missing
	tests/lib/deps.sh build check demo

$(BUILD)/virt-lock-supervisor: $(BUILD)/supervisor/main.o $(supervisor) $(common)
	$(LINKEXE)
$(BUILD)/virt-lockctl: $(call obj,$(wildcard helpers/virt-lockctl*.c)) $(client) $(common)
	$(LINKEXE)
$(BUILD)/virt-lock-disks: $(BUILD)/helpers/virt-lock-disks.o $(disks) $(common)
	$(LINKEXE)
# Whatever LINK: it is small because it shares nothing. (Sanitizers cannot.)
$(BUILD)/virt-lock-guard: $(guard)
	$(CC) $(if $(SANITIZE),$(BASE_LDFLAGS),-static-pie -Wl,-z,relro,-z,now) $(LDFLAGS) $(CFLAGS) -o $@ $^
$(BUILD)/tables: $(BUILD)/docs/tables.o $(supervisor) $(common)
	$(LINKEXE)
$(BUILD)/seccomp_gen: supervisor/seccomp_gen.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(if $(SANITIZE),-DSANITIZED) -o $@ $< $(shell pkg-config --cflags --libs libseccomp)
$(BUILD)/seccomp_filter.h: $(BUILD)/seccomp_gen
	$< > $@
$(BUILD)/supervisor/confine.o: $(BUILD)/seccomp_filter.h
$(BUILD)/%.o: %.c $(makefiles) VERSION
	@mkdir -p $(@D)
	$(CC) $(BASE_CPPFLAGS) $(if $(SANITIZE),-DSANITIZED) $(HARDEN) $(CPPFLAGS) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# "=for generated X" in a page becomes what the code's own tables say.
$(BUILD)/docs/%.pod: docs/%.pod $(BUILD)/tables
	@mkdir -p $(@D)
	while IFS= read -r line; do case $$line in '=for generated '*) $(BUILD)/tables "$${line##* }";; \
	  *) printf '%s\n' "$$line";; esac; done < $< > $@
$(BUILD)/docs/%: $(BUILD)/docs/%.pod
	pod2man --utf8 --section=$(patsubst .%,%,$(suffix $*)) --name=$(shell echo $(basename $*) | tr a-z A-Z) \
	  --center=virt-lock-supervisor --release=$(VERSION) $< $@

$(catalog): $(BUILD)/tables
	$< catalog > $@

include tests/tests.mk

install: all install-library ## into DESTDIR and PREFIX
	install -d $(addprefix $(DESTDIR),$(bindir) $(sbindir) $(libexecdir) $(docdir)/examples $(compdir) $(unitdir) $(catalogdir)) $(addprefix $(DESTDIR)$(mandir)/man,1 3 7 8)
	install -m 755 $(BUILD)/virt-lock-supervisor $(DESTDIR)$(sbindir)
	install -m 755 $(BUILD)/virt-lockctl $(BUILD)/virt-lock-disks $(DESTDIR)$(bindir)
	install -m 755 $(BUILD)/virt-lock-guard $(DESTDIR)$(libexecdir)
	set -e; for m in $(mans); do install -m 644 $$m $(DESTDIR)$(mandir)/man$${m##*.}; done
	set -e; for p in $(completed); do install -m 644 helpers/completions/virt-lock.bash $(DESTDIR)$(compdir)/$$p; done
	install -m 644 README.md NEWS.md LICENSE docs/cookbook.md docs/design.md docs/file-protocol.md docs/migration.md $(DESTDIR)$(docdir)
	install -m 644 docs/examples/web1.conf $(DESTDIR)$(docdir)/examples
	install -m 755 docs/examples/live-migrate $(DESTDIR)$(docdir)/examples
	install -m 644 $(catalog) $(DESTDIR)$(catalogdir)
	sed 's#@sbindir@#$(sbindir)#; s#@docdir@#$(docdir)#' helpers/systemd/$(unit_file).in > $(DESTDIR)$(unitdir)/$(unit_file)
	chmod 644 $(DESTDIR)$(unitdir)/$(unit_file)
uninstall: uninstall-library ## what install has put there
	rm -f $(addprefix $(DESTDIR)$(compdir)/,$(completed))
	rm -f $(DESTDIR)$(sbindir)/virt-lock-supervisor $(DESTDIR)$(libexecdir)/virt-lock-guard $(addprefix $(DESTDIR)$(bindir)/,virt-lockctl virt-lock-disks)
	for m in $(notdir $(mans)); do rm -f $(DESTDIR)$(mandir)/man$${m##*.}/$$m; done
	rm -f $(DESTDIR)$(unitdir)/$(unit_file) $(DESTDIR)$(catalogdir)/$(notdir $(catalog))
	rm -rf $(DESTDIR)$(docdir)
dist: ## a tar ball of what is committed
	git archive --prefix=virt-lock-supervisor-$(VERSION)/ -o virt-lock-supervisor-$(VERSION).tar.gz HEAD
clean: ## remove what was built
	rm -rf build build-* $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
