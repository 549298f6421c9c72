//! A cache folder for one run of the tests, so that none of them writes to that of the person.

use std::{env, path::PathBuf};

/// What the program keeps goes there until the folder is dropped.
///
/// # Safety
/// To be called while no other thread runs that could read the environment: first in `main`.
pub unsafe fn own_cache_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let before = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let usual = before.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    // SAFETY: as the caller promises.
    unsafe { env::set_var("XDG_CACHE_HOME", folder.path()) };
    // The compiled shaders of a software adapter stay where they are: making them takes its time.
    if let (Some(usual), None) = (usual, env::var_os("MESA_SHADER_CACHE_DIR")) {
        // SAFETY: as above.
        unsafe { env::set_var("MESA_SHADER_CACHE_DIR", usual) };
    }
    folder
}
