//! What reads files that come from elsewhere must not be broken by any bytes. Seeds lie in
//! `corpus`, one folder a target; `tests/reference/fuzz_corpus.py` makes them.

pub mod mutation;
pub mod targets;
