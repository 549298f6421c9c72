//! Downloads from a hub that misbehaves: each ends in the right file or in a clear message, and
//! never in a wrong file under the right name.

mod cli;
mod python;
mod server;
mod stage;
mod transfer;
mod trouble;
