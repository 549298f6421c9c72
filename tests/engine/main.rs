//! The engine from outside: its thread with a scripted backend, and with real (small) models.

mod chains;
mod resident;
mod scripted;
