# Two commands do all the set-up on a fresh Debian or Ubuntu machine with Rust: make demo, make test.

.PHONY: demo test chaos tour bench

# Builds Groundline, makes the sample city's files, imports them, starts its sensors and opens the viewer.
demo:
	@.ci/setup build view
	cargo build --release -p groundline
	$${CARGO_TARGET_DIR:-target}/release/groundline demo

# Every test: rules beside the code, the command itself, the pictures on a real Vulkan driver, a real MQTT broker.
# With GROUNDLINE_DATA (a folder of real files) also what GDAL, laspy, ifcopenshell and others say about the same files.
ifdef GROUNDLINE_DATA
test: export GROUNDLINE_PYTHON ?= $(HOME)/.cache/groundline/referees/venv/bin/python
endif
test:
	@.ci/setup build view test $(if $(GROUNDLINE_DATA),referee)
	cargo test --workspace --no-fail-fast

# Minutes of crashes: every step of a city's life killed at every place, 200 times at any moment (GROUNDLINE_KILLS, GROUNDLINE_SEED), and
# on real disks that are full, for which it wants a mount namespace. Prints a line of JSON for each.
chaos:
	@.ci/setup build
	cargo test -p groundline-importers --test crash --no-run
	unshare -rm cargo test -p groundline-importers --test crash chaos -- --ignored --nocapture --test-threads=1

# Ten minutes of flight through the sample city, above and below ground, in every style, with the window's own streaming and no window:
# memory, frame times, errors of the graphics library and bare ground. Prints a line of JSON and fails where a bound is broken.
tour:
	@.ci/setup build view
	cargo build --release -p groundline
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	groundline=$${CARGO_TARGET_DIR:-target}/release/groundline && \
	"$$groundline" demo --dir "$$folder" --no-view >&2 && "$$groundline" tour "$$folder/haiwan.city"

# The table of benches/README.md.
bench:
	@.ci/setup build view bench
	cargo build --release -p groundline -p groundline-benches
	$${CARGO_TARGET_DIR:-target}/release/groundline-bench
