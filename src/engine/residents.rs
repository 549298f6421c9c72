//! The models that are loaded.

use std::path::PathBuf;

use candle_core::DType;

use super::{
    Device, EngineError, Loaded, Monitor, device, memory::Arrangement, models::Model, pass::Pass,
};

/// See the module. Those of earlier runs stay as long as there is room, so that switching back is
/// instant.
#[derive(Default)]
pub struct Residents {
    /// The last used first.
    models: Vec<Resident>,
}

struct Resident {
    key: Key,
    model: Model,
    /// Bytes of its weights.
    weights: u64,
}

/// A loaded model serves requests that agree in these.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    path: PathBuf,
    device: Device,
    dtype: DType,
}

impl Residents {
    /// Makes room for a run that takes `foreseen` bytes, where it and all that stays may take `room`:
    /// the models that were not used for longest go first. Where no room is known, all others go.
    pub fn keep(&mut self, passes: &[Pass], foreseen: u64, room: Option<u64>) {
        let mut taken = foreseen;
        self.models.retain(|resident| {
            if passes.iter().any(|pass| pass.folder.path == resident.key.path) {
                return true;
            }
            taken = taken.saturating_add(resident.weights);
            room.is_some_and(|room| taken <= room)
        });
    }

    /// What is loaded, the last used first.
    pub fn loaded(&self) -> Vec<Loaded> {
        let loaded = |resident: &Resident| Loaded {
            name: resident.model.folder().name.clone(),
            bytes: resident.weights,
        };
        self.models.iter().map(loaded).collect()
    }

    /// Bytes of all weights.
    pub fn bytes(&self) -> u64 {
        self.models.iter().map(|resident| resident.weights).sum()
    }

    /// The model, loaded if it was not.
    pub fn get(
        &mut self,
        Pass { request, folder, arrangement, .. }: &Pass,
        monitor: &mut dyn Monitor,
    ) -> Result<&mut Model, EngineError> {
        let device = device::open(request.device)?;
        let dtype = device::dtype(request.dtype, &device);
        let key = Key { path: folder.path.clone(), device: request.device, dtype };
        let resident = match self.models.iter().position(|resident| resident.key == key) {
            Some(index) => self.models.remove(index),
            None => {
                // Dropped first: the same in another format need not fit beside it.
                self.models.retain(|resident| resident.key.path != key.path);
                self.rest_all(arrangement);
                let vae = request.vae.as_deref();
                let model = Model::load(folder, vae, device, dtype, arrangement, monitor)?;
                Resident { key, model, weights: arrangement.weights }
            }
        };
        self.rest_all(arrangement);
        self.models.insert(0, resident);
        let model = &mut self.models[0].model;
        model.arrange(arrangement);
        Ok(model)
    }

    /// Makes room where one model does not fit beside another.
    fn rest_all(&self, arrangement: &Arrangement) {
        if arrangement.alone {
            self.models.iter().for_each(|resident| resident.model.rest());
        }
    }
}
