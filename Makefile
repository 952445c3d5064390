# SPDX-License-Identifier: MPL-2.0

# rustup's tools first: a distribution's cargo is often too old.
export PATH := $(HOME)/.cargo/bin:$(PATH)

TARGET  := $(or $(CARGO_TARGET_DIR),target)
LIBRARY := libgstfailover.$(if $(filter Darwin,$(shell uname -s)),dylib,so)

# Where GStreamer looks without being told. With PREFIX, the folder that pkg-config names under it.
USER_FOLDER := $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/gstreamer-1.0/plugins
FOLDER = $(if $(PREFIX),$(shell pkg-config --define-variable=prefix=$(PREFIX) --variable=pluginsdir gstreamer-1.0),$(USER_FOLDER))
# Built as the user, copied as root where only root may write.
SUDO = $(if $(PREFIX),$(if $(DESTDIR),,$(shell test -w '$(PREFIX)' || echo sudo)))

.PHONY: help setup build demo test check fuzz bench install uninstall clean

help:
	@echo 'make demo        two RTMP streams die and come back while the output plays on'
	@echo '                 (WINDOW=1 shows it in a window)'
	@echo 'make test        every test'
	@echo 'make install     for you alone: $(USER_FOLDER)'
	@echo '                 (PREFIX=/usr for everybody)'
	@echo 'make uninstall   the same way back'
	@echo 'make bench       what a failover shows and costs, beside the peer'
	@echo '                 (ONLY=viewer or ONLY="delay crowd" for some of it)'
	@echo 'make check       formatting, lints, documentation'
	@echo 'make fuzz        what comes off the wire, made up, a minute for each kind'
	@echo '                 (FOR=600 for ten minutes each; it needs cargo-fuzz)'
	@echo 'make setup       what demo and test need, installed on Debian and Ubuntu'
	@echo 'make clean       remove what was built'

setup:
	scripts/setup.sh test

build:
	cargo build --release --lib

demo:
	@scripts/setup.sh $(if $(WINDOW),window,demo)
	cargo run --quiet --release --example demo -- $(if $(WINDOW),--window)

# The examples beside the library bring it the tests' features, or cargo would build it twice; only a
# library that is asked for by name comes to where smoke.sh looks.
test:
	@scripts/setup.sh test
	cargo build --lib --examples
	cargo test --no-run
	scripts/smoke.sh $(TARGET)/debug
	scripts/test.sh

check:
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps

fuzz:
	scripts/fuzz.sh $(or $(FOR),60)

bench:
	@scripts/setup.sh test
	cargo run --quiet --release --package failover-bench -- $(ONLY)

install: build
	@test -n '$(FOLDER)' || { echo 'pkg-config does not know gstreamer-1.0'; exit 1; }
	$(SUDO) install -d '$(DESTDIR)$(FOLDER)'
	$(SUDO) install -m 755 '$(TARGET)/release/$(LIBRARY)' '$(DESTDIR)$(FOLDER)/'
	@scripts/installed.sh '$(FOLDER)'

uninstall:
	$(SUDO) rm -f '$(DESTDIR)$(FOLDER)/$(LIBRARY)'

clean:
	cargo clean
	rm -rf demo-out
