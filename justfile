# `just check` is what must pass before a commit; the fast things come first.

check: fmt clippy doc test

fmt:
    cargo fmt --check

clippy:
    cargo clippy --all-targets -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

test:
    cargo test

# Licences, advisories and bans; needs cargo-deny.
deny:
    cargo deny check

# Writes the pictures that the window tests compare with.
snapshots:
    UPDATE_SNAPSHOTS=true cargo test --test window
