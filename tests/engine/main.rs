//! The engine from outside: its thread with a scripted backend, and with real (small) models.

mod resident;
mod scripted;
