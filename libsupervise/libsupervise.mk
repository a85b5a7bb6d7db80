# The library: shared with its symbols' versions, and what is installed of it;
# the Makefile includes this. Its objects are of their own, since a library's
# are compiled otherwise (-fPIC) than a program's.
libdir     ?= $(PREFIX)/lib
includedir ?= $(PREFIX)/include
pkgconfigdir ?= $(libdir)/pkgconfig
soname     := libsupervise.so.0
solib      := $(BUILD)/$(soname).$(VERSION)
headers    := $(patsubst %,libsupervise/%.h,lock_manager lock_manager_types lock_manager_more domain_lock)
lib_c      := $(wildcard libsupervise/manager*.c libsupervise/domain_lock*.c libsupervise/client*.c) \
  $(patsubst %,libsupervise/%.c,qmp places resource settings)
lib_o      := $(patsubst %.c,$(BUILD)/pic/%.o,$(lib_c))

# What is public is the map's to say.
$(BUILD)/pic/%.o: BASE_CFLAGS += -fPIC -fvisibility=default
# Where the supervisor will be installed, which may be said at "make install".
$(BUILD)/pic/sbindir.h: FORCE
	@mkdir -p $(@D)
	@echo '#define SBINDIR "$(sbindir)"' | cmp -s - $@ || echo '#define SBINDIR "$(sbindir)"' > $@
$(BUILD)/pic/libsupervise/manager_argv.o: $(BUILD)/pic/sbindir.h
.PHONY: FORCE
$(BUILD)/pic/%.o: %.c $(makefiles) VERSION
	@mkdir -p $(@D)
	$(CC) $(BASE_CPPFLAGS) -I$(BUILD)/pic $(HARDEN) $(CPPFLAGS) $(BASE_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(solib): $(lib_o) libsupervise/libsupervise.map
	$(CC) -shared -Wl,-soname,$(soname) -Wl,--version-script=libsupervise/libsupervise.map \
	  -Wl,-z,relro,-z,now,--as-needed $(if $(SANITIZE),$(SANITIZE),-Wl,-z,defs) $(LDFLAGS) $(CFLAGS) -o $@ $(lib_o) $(shell pkg-config --libs glib-2.0 jansson)
	ln -sf $(@F) $(BUILD)/$(soname)
	ln -sf $(soname) $(BUILD)/libsupervise.so

install-library: $(solib)
	install -d $(addprefix $(DESTDIR),$(libdir) $(pkgconfigdir) $(includedir)/libsupervise)
	install -m 644 $(solib) $(DESTDIR)$(libdir)
	ln -sf $(notdir $(solib)) $(DESTDIR)$(libdir)/$(soname)
	ln -sf $(soname) $(DESTDIR)$(libdir)/libsupervise.so
	install -m 644 $(headers) $(DESTDIR)$(includedir)/libsupervise
	sed 's#@prefix@#$(PREFIX)#; s#@libdir@#$(libdir)#; s#@includedir@#$(includedir)#; s#@version@#$(VERSION)#' \
	  libsupervise/libsupervise.pc.in > $(DESTDIR)$(pkgconfigdir)/libsupervise.pc
	chmod 644 $(DESTDIR)$(pkgconfigdir)/libsupervise.pc
uninstall-library:
	rm -f $(addprefix $(DESTDIR)$(libdir)/,$(notdir $(solib)) $(soname) libsupervise.so) $(DESTDIR)$(pkgconfigdir)/libsupervise.pc
	rm -rf $(DESTDIR)$(includedir)/libsupervise

# Managers, in C99 and in C++, with the public headers and the library alone.
both        = $(addprefix $(BUILD)/tests/,$(1) $(1)++)
vmmanager  := $(foreach p,vmmanager libcall libthreads,$(call both,bin/$p))
VMFLAGS     = -O2 -g -pthread -Wall -Wextra -pedantic -Werror -I. -o $@ $(filter %.c,$^) $(solib) -Wl,-rpath,'$$ORIGIN/../..' $(SANITIZE)
$(call both,bin/vmmanager): tests/bin/vmmanager.c tests/bin/vmmanager-wrappers.c tests/bin/vmmanager.h
$(call both,bin/libcall): tests/bin/libcall.c tests/bin/libcall-calls.c tests/bin/libcall.h
$(call both,bin/libthreads): tests/bin/libthreads.c
$(call both,bench/reattach): tests/bench/reattach.c
$(vmmanager) $(call both,bench/reattach): $(headers) $(solib)
	@mkdir -p $(@D)
	$(if $(filter %++,$@),$(CXX) -x c++,$(CC) -std=c99) $(subst $(solib),-x none $(solib),$(VMFLAGS))

# Private types, and where things were compiled, do not matter.
ABI = tests/abi/libsupervise.abi
abi: $(solib) ## renew what the library's ABI is compared with
	abidw --no-show-locs --no-comp-dir-path --exported-interfaces-only --drop-private-types \
	  $(headers:%=--hf %) --out-file $(ABI) $(solib)
