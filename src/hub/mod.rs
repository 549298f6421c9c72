//! The Hugging Face hub: finding models there, and bringing them into the cache that all of its
//! tools share.
//!
//! Names, addresses and the layout of the cache are [`hf_hub`]'s. The transfer is our own, on the
//! same HTTP library: it goes on where it stood after a cut or a kill, fetches several files at
//! once, checks every byte before a file gets its name, and can be paused.

mod cache;
mod client;
mod digest;
mod download;
mod error;
mod listing;
mod meter;
mod select;
mod settings;
mod stop;
mod stored;
mod thread;
mod transfer;

pub use cache::CachedRepository;
pub use client::Client;
pub use digest::{Digest, Hasher};
pub use download::{Fetched, Progress, Report, Wanted, download};
pub use error::{HubError, Result, human_size};
pub use listing::{Found, Listing, MAIN, RemoteFile, check_name, list, search, stays_inside};
pub use select::{Choice, Precision};
pub use settings::{PUBLIC_HUB, Patience, Settings, Token, token_file};
pub use stop::{Stop, StopToken};
pub use stored::{Damage, Stored, Verified, remove, stored, throw_away, verify};
pub use thread::{DownloadId, Downloads, Event, EventKind, NotTaken, Wake};
