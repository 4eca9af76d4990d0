# The commands of this project, in one place. CI runs `.ci/run`, which runs the same ones.

# Format, lint, document, test, and run the main job: what CI runs.
check:
    .ci/run

# The tests, faster: one process a test, in parallel.
test:
    cargo nextest run --workspace

# The main job on one machine.
demo:
    cargo run --release -- demo

# What a reader and an operator pay.
bench:
    cargo bench -p quorate-benches
    cargo run --release -- bench reads --seconds 20 --json
