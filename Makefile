# Two commands do all the set-up on a fresh Debian or Ubuntu machine with Rust: make demo, make test.

.PHONY: demo test bench

# Builds Groundline, makes the sample city's files, imports them, starts its sensors and opens the viewer.
demo:
	@.ci/setup build view
	cargo build --release -p groundline
	$${CARGO_TARGET_DIR:-target}/release/groundline demo

# Every test: rules beside the code, the command itself, the pictures on a real Vulkan driver, a real MQTT broker.
test:
	@.ci/setup build view test
	cargo test --workspace --no-fail-fast

# The table of benches/README.md.
bench:
	@.ci/setup build view bench
	cargo build --release -p groundline -p groundline-benches
	$${CARGO_TARGET_DIR:-target}/release/groundline-bench
