//! The models that are loaded.

use std::path::PathBuf;

use candle_core::DType;

use super::{Device, EngineError, Monitor, device, memory::Arrangement, models::Model, pass::Pass};

/// See the module. The models of the run before stay, so that it can be repeated at once.
#[derive(Default)]
pub struct Residents {
    models: Vec<(Key, Model)>,
}

/// A loaded model serves requests that agree in these.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    path: PathBuf,
    device: Device,
    dtype: DType,
}

impl Residents {
    /// Drops every model but those of a run: others need not fit into memory beside them.
    pub fn keep(&mut self, passes: &[Pass]) {
        self.models.retain(|(key, _)| passes.iter().any(|pass| pass.folder.path == key.path));
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
        let index = match self.models.iter().position(|(resident, _)| *resident == key) {
            Some(index) => index,
            None => {
                // Dropped first: the same in another format need not fit beside it.
                self.models.retain(|(resident, _)| resident.path != key.path);
                self.rest_others(None, arrangement);
                let vae = request.vae.as_deref();
                let model = Model::load(folder, vae, device, dtype, arrangement, monitor)?;
                self.models.push((key, model));
                self.models.len() - 1
            }
        };
        self.rest_others(Some(index), arrangement);
        let model = &mut self.models[index].1;
        model.arrange(arrangement);
        Ok(model)
    }

    /// Makes room where one model does not fit beside another.
    fn rest_others(&self, index: Option<usize>, arrangement: &Arrangement) {
        if arrangement.alone {
            let others = self.models.iter().enumerate().filter(|(i, _)| Some(*i) != index);
            others.for_each(|(_, (_, model))| model.rest());
        }
    }
}
