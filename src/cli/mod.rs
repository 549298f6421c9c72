//! The same requests, without a window.
