//! `overpaint models`: what can be named with `--model`, where it lies, and what can be had.

mod arguments;
mod get;
mod keep;
mod list;
mod path;
mod search;
mod show;

use arguments::Action;
pub use arguments::Models;
pub use path::places;

use super::Failure;

/// Runs the action, or lists.
pub fn run(arguments: &Models) -> Result<(), Failure> {
    let json = arguments.json;
    match &arguments.action {
        None | Some(Action::List) => {
            list::list(json);
            Ok(())
        }
        Some(Action::Search(what)) => search::search(what, json),
        Some(Action::Get(what)) => get::get(what, json),
        Some(Action::Show(what)) => show::show(&what.model, json),
        Some(Action::Verify(what)) => keep::verify(what, json),
        Some(Action::Remove(what)) => keep::remove(what, json),
        Some(Action::Path(what)) => path::path(what, json),
    }
}
