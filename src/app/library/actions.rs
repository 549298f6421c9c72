//! What can be done in the Models window.

use std::path::Path;

use super::{Ask, Check, Library, Shelf, transfers::Outcome};
use crate::{
    app::{
        App,
        background::{Done, Purpose},
        loras,
    },
    catalog::{self, places::ADDED},
    hub::{Choice, Client, Downloads, Found, Stop, Verified, Wanted},
};

impl App {
    /// Does what is asked for. One arm, one call.
    pub(in crate::app) fn ask_library(&mut self, ask: Ask) {
        match ask {
            Ask::Toggle => self.toggle_models(),
            Ask::Get(key) => self.get_model(&key),
            Ask::Pause(key) => self.stop_download(&key, Stop::Pause),
            Ask::Cancel(key) => self.stop_download(&key, Stop::Cancel),
            Ask::ConfirmRemoval(name) => self.library.removing = name,
            Ask::Remove(name) => self.remove_model(name),
            Ask::Verify(name) => self.verify_model(name),
            Ask::Search => self.search_hub(),
            Ask::ChooseFolder => self.ask_for(Purpose::ModelsFolder),
            Ask::AddFolder(folder) => self.add_model_folder(&folder),
            Ask::ForgetFolder(folder) => self.forget_model_folder(&folder),
            Ask::Look => self.look_at_shelf(),
        }
    }

    fn toggle_models(&mut self) {
        self.library.open = !self.library.open;
        if self.library.open {
            self.look_at_shelf();
        }
    }

    /// Looks at what lies on this machine, elsewhere.
    pub(in crate::app) fn look_at_shelf(&mut self) {
        if std::mem::replace(&mut self.library.looking, true) {
            return;
        }
        let cache = self.library.settings.cache.clone();
        self.background
            .work("looking at models", move || Done::Shelf(Box::new(Shelf::look(&cache))));
    }

    /// Takes in what was seen.
    pub(in crate::app) fn show_shelf(&mut self, mut shelf: Shelf) {
        self.library.looking = false;
        let offered = std::mem::take(&mut shelf.offered);
        self.library.shelf = shelf;
        replace(&mut self.models, offered.models, |model| &model.id);
        replace(&mut self.controlnets, offered.controlnets, |control| &control.id);
        replace(&mut self.autoencoders, offered.autoencoders, |place| place.path.as_os_str());
        self.settings.loras = loras::choices(offered.loras, &self.settings.loras);
        self.find_embeddings();
    }

    /// Fetches a preset with what it needs, or a repository of the hub; goes on with one that was
    /// paused or failed.
    fn get_model(&mut self, key: &str) {
        let library = &mut self.library;
        if library.transfers.get(key).is_none() {
            let (name, wanted) = wanted_of(key, library);
            if wanted.is_empty() {
                return self.look_at_shelf();
            }
            library.transfers.add(key.to_owned(), name, wanted);
        }
        if let Err(why) = library.hand_over(key) {
            library.transfers.remove(key);
            self.complain(why);
        }
    }

    fn stop_download(&mut self, key: &str, stop: Stop) {
        let library = &mut self.library;
        let Some(transfer) = library.transfers.get_mut(key) else { return };
        match (transfer.current(), &library.downloads) {
            (Some(id), Some(downloads)) => {
                downloads.stop(id, stop);
                transfer.stopping(stop);
            }
            // It stands still already: what is left of it is thrown away with the rest.
            _ if stop == Stop::Cancel => {
                let wanted: Vec<Wanted> = transfer.next().cloned().into_iter().collect();
                library.transfers.remove(key);
                self.throw_away(wanted);
            }
            _ => {}
        }
    }

    /// Deletes the unfinished files of downloads that are no longer wanted.
    fn throw_away(&self, wanted: Vec<Wanted>) {
        let cache = self.library.settings.cache.clone();
        self.background.work("deleting", move || {
            let names = wanted.into_iter().flat_map(|wanted| wanted.repositories);
            let errors = names.filter_map(|name| crate::hub::throw_away(&cache, &name).err());
            Done::Deleted(errors.map(|error| error.to_string()).next().map_or(Ok(()), Err))
        });
    }

    /// Reads a repository again, elsewhere.
    fn verify_model(&mut self, repository: String) {
        self.library.checks.insert(repository.clone(), Check::Reading);
        let cache = self.library.settings.cache.clone();
        self.background.work("reading a model again", move || {
            let verified = crate::hub::verify(&cache, &repository, &mut |_| true);
            Done::Verified(repository, verified.map_err(|error| error.to_string()))
        });
    }

    /// What is damaged is named, and offered for another download.
    pub(in crate::app) fn show_verified(
        &mut self,
        repository: String,
        verified: Result<Verified, String>,
    ) {
        match verified {
            Ok(Verified { damaged, .. }) => {
                let files: Vec<String> = damaged.into_iter().map(|(file, _)| file).collect();
                let check = if files.is_empty() { Check::Whole } else { Check::Damaged(files) };
                self.library.checks.insert(repository, check);
            }
            Err(why) => {
                self.library.checks.remove(&repository);
                self.complain(why);
            }
        }
    }

    fn remove_model(&mut self, repository: String) {
        self.library.removing = None;
        let cache = self.library.settings.cache.clone();
        self.background.work("deleting", move || {
            let removed = crate::hub::remove(&cache, &repository);
            Done::Deleted(removed.map(|_| ()).map_err(|error| error.to_string()))
        });
    }

    /// Applies what the thread that fetches said since the last frame.
    pub(in crate::app) fn receive_downloads(&mut self, ctx: &egui::Context) {
        let Some(downloads) = &mut self.library.downloads else { return };
        for event in downloads.events() {
            match self.library.transfers.note(event) {
                Outcome::Nothing => {}
                Outcome::Next(key) => self.get_model(&key),
                Outcome::Finished { name, .. } => {
                    // What was known to be damaged may be whole again.
                    self.library.checks.clear();
                    self.tell(ctx, format!("{name} is here"));
                    self.look_at_shelf();
                }
            }
        }
    }

    fn search_hub(&mut self) {
        let search = &mut self.library.search;
        let words = search.words.trim().to_owned();
        if words.is_empty() || std::mem::replace(&mut search.asking, true) {
            return;
        }
        let settings = self.library.settings.clone();
        self.background.work("asking the hub", move || {
            let found = crate::hub::search(&Client::new(&settings), &words, 30);
            Done::Searched(words, found.map_err(|error| error.to_string()))
        });
    }

    pub(in crate::app) fn show_found(&mut self, words: String, found: Result<Vec<Found>, String>) {
        let search = &mut self.library.search;
        (search.asking, search.asked, search.found) = (false, words, Some(found));
    }

    fn add_model_folder(&mut self, folder: &Path) {
        self.look_after(ADDED.remember(folder));
    }

    fn forget_model_folder(&mut self, folder: &Path) {
        self.look_after(ADDED.forget(folder).map(|_| ()));
    }

    fn look_after(&mut self, changed: std::io::Result<()>) {
        match changed {
            Ok(()) => self.look_at_shelf(),
            Err(why) => self.complain(format!("the folders are not remembered: {why}")),
        }
    }
}

/// Puts a new list in place of an old one. What was chosen by its path stays while it is there.
fn replace<T, P: AsRef<Path> + PartialEq + ?Sized>(
    old: &mut Vec<T>,
    new: Vec<T>,
    path: impl Fn(&T) -> &P,
) {
    for known in std::mem::replace(old, new) {
        let place = path(&known).as_ref();
        let is_new = old.iter().all(|other| path(other).as_ref() != place);
        if is_new && place.exists() {
            old.push(known);
        }
    }
}

impl Library {
    /// Gives a transfer's next part to the thread that fetches.
    fn hand_over(&mut self, key: &str) -> Result<(), String> {
        let Some(transfer) = self.transfers.get_mut(key) else { return Ok(()) };
        let (None, Some(wanted)) = (transfer.current(), transfer.next().cloned()) else {
            return Ok(());
        };
        let downloads = match &mut self.downloads {
            Some(downloads) => downloads,
            none => {
                let started = Downloads::start(self.settings.clone(), self.wake.clone());
                none.insert(started.map_err(|error| error.to_string())?)
            }
        };
        transfer.started(downloads.get(wanted).map_err(|error| error.to_string())?);
        Ok(())
    }
}

/// What a key of the window stands for: a preset's id, or a repository's name.
fn wanted_of(key: &str, library: &Library) -> (String, Vec<Wanted>) {
    let precision = library.machine.precision();
    match catalog::preset(key) {
        Some(preset) => {
            let wanted = preset.with_needs().filter(|part| library.place_of(part).is_none());
            let wanted: Vec<Wanted> = wanted.map(|part| part.wanted(precision)).collect();
            (preset.name.clone(), wanted)
        }
        None => {
            let choice = Choice { precision, ..Choice::default() };
            (key.to_owned(), vec![Wanted { choice, ..Wanted::repository(key) }])
        }
    }
}
