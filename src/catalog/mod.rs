//! Which models exist, where they lie, and what a file or folder is.
