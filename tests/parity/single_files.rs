//! Single-file checkpoints in the original layout: whole runs with nothing but the file, against
//! the folders that the reference ran.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use candle_core::{DType, Device, Tensor, safetensors};
use libtest_mimic::Trial;
use overpaint::engine::Request;
use serde::Deserialize;

use super::{
    compare::{exact, measured},
    controlnet,
    described::hashed,
    fixtures,
    pipelines::{Case, cases_in, cases_of, deviation, request, run},
};

/// A tensor of a file: its name, how it is made, and of what.
type Row = (String, String, Vec<Piece>);
/// The seed and name of a tensor's numbers, its shape, mean and deviation.
type Piece = (String, String, Vec<usize>, f32, f32);
type Tensors = HashMap<String, Tensor>;

#[derive(Deserialize)]
struct Models {
    tensors: Vec<Row>,
    models: HashMap<String, Vec<usize>>,
}

fn set() -> PathBuf {
    fixtures::set("single-files")
}

/// Each model as a file of its name, made once.
fn files() -> &'static Path {
    static FILES: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let all: Models = fixtures::read_file(&set().join("models.json"));
        for (name, rows) in &all.models {
            let rows = rows.iter().map(|row| &all.tensors[*row]);
            let tensors = tensors(name, rows).unwrap_or_else(|error| panic!("{name}: {error}"));
            write(&tensors, &folder.path().join(format!("{name}.safetensors")))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        folder
    });
    FILES.path()
}

fn tensors<'a>(name: &str, rows: impl Iterator<Item = &'a Row>) -> candle_core::Result<Tensors> {
    let kept = set().join(format!("{name}.safetensors"));
    let mut tensors = safetensors::load(kept, &Device::Cpu)?;
    for (key, how, pieces) in rows {
        let pieces = pieces.iter().map(|(seed, name, shape, mean, deviation)| {
            let numbers = hashed(&format!("{seed}/{name}"), shape.iter().product());
            let numbers = numbers.map(|number| number * deviation + mean).collect();
            Tensor::from_vec(numbers, shape.as_slice(), &Device::Cpu)?.to_dtype(DType::F16)
        });
        let joined = Tensor::cat(&pieces.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        let tensor = match how.as_str() {
            "transposed" => joined.t()?.contiguous()?,
            "convolution" => joined.unsqueeze(2)?.unsqueeze(3)?,
            _ => joined,
        };
        tensors.insert(key.clone(), tensor);
    }
    Ok(tensors)
}

fn write(tensors: &Tensors, file: &Path) -> candle_core::Result<()> {
    safetensors::save(tensors, file)
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn file_of(request: &Request) -> PathBuf {
    let name = Path::new(&request.model).file_name().unwrap_or_default();
    files().join(name).with_extension("safetensors")
}

pub fn trials() -> Vec<Trial> {
    let cases = cases_in(&set(), "cases.json");
    let mut trials: Vec<Trial> = cases.iter().cloned().map(same_as_the_folder).collect();
    for case in &cases {
        let wanted: &[(&str, Change)] = match case.name.as_str() {
            "sd1-text" => &[("wrapped", wrapped), ("newer-names", newer_names)],
            "xl-text" => &[("wrapped", wrapped), ("linear-projection", linear_projection)],
            _ => &[],
        };
        trials.extend(wanted.iter().map(|(what, change)| same_when(case, what, *change)));
        if matches!(case.name.as_str(), "sd1-text" | "xl-text") {
            trials.push(with_the_autoencoder_apart(case, "first_stage_model."));
            trials.push(with_the_autoencoder_apart(case, ""));
        }
        if case.name == "xl-pruned-text" {
            trials.push(with_its_own_configuration(case));
        }
    }
    for (case, network, names) in [
        ("control-text", "plain", Names::Original),
        ("control-xl-text", "xl", Names::Original),
        ("control-xl-text", "xl", Names::Diffusers),
    ] {
        let case = cases_of("controlnet.json").into_iter().find(|found| found.name == case);
        trials.extend(case.map(|case| steered_by_a_file(case, network, names)));
    }
    for case in cases {
        let changes =
            [("thirds", swapped_thirds as Change), ("blocks", swapped_blocks), ("marks", unmarked)];
        let counts = |what: &str| match what {
            "thirds" => matches!(case.name.as_str(), "sd2-text" | "xl-text"),
            "marks" => case.name.starts_with("sd2"),
            // Of pruned networks the middle has not both of them.
            _ => !matches!(case.name.as_str(), "xl-pruned-text" | "xl-no-middle-text"),
        };
        trials.extend(
            changes
                .iter()
                .filter(|(what, _)| counts(what))
                .map(|(what, change)| differs_when(&case, what, *change)),
        );
    }
    trials
}

fn same_as_the_folder(case: Case) -> Trial {
    measured(format!("single-file::{}", case.name), move || {
        let mut request = request(&case)?;
        request.model = file_of(&request).display().to_string();
        deviation(&case, &run(request)?)
    })
}

/// Something about a file that is not as it was.
type Change = fn(Tensors) -> candle_core::Result<Tensors>;

fn changed(
    case: &Case,
    change: impl Fn(Tensors) -> candle_core::Result<Tensors>,
    folder: &Path,
) -> Result<Request, String> {
    let mut request = request(case)?;
    let tensors = safetensors::load(file_of(&request), &Device::Cpu).map_err(told)?;
    let file = folder.join("changed.safetensors");
    write(&change(tensors).map_err(told)?, &file).map_err(told)?;
    request.model = file.display().to_string();
    Ok(request)
}

fn same_when(case: &Case, what: &str, change: Change) -> Trial {
    let case = case.clone();
    measured(format!("single-file::{}-{what}", case.name), move || {
        let folder = tempfile::tempdir().map_err(told)?;
        deviation(&case, &run(changed(&case, change, folder.path())?)?)
    })
}

/// A checkpoint without an autoencoder, which lies in a file of its own and is named; its scale
/// follows from the checkpoint.
fn with_the_autoencoder_apart(case: &Case, prefix: &'static str) -> Trial {
    const OWN: &str = "first_stage_model.";
    let case = case.clone();
    let bare = if prefix.is_empty() { "-bare" } else { "" };
    measured(format!("single-file::{}-autoencoder-apart{bare}", case.name), move || {
        let folder = tempfile::tempdir().map_err(told)?;
        let without = |tensors: Tensors| {
            Ok(tensors.into_iter().filter(|(name, _)| !name.starts_with(OWN)).collect())
        };
        let whole = file_of(&request(&case)?);
        let mut request = changed(&case, without, folder.path())?;
        if run(request.clone()).is_ok() {
            return Err("runs without an autoencoder".into());
        }
        let tensors = safetensors::load(whole, &Device::Cpu).map_err(told)?;
        let renamed = |(name, tensor): (String, Tensor)| {
            Some((format!("{prefix}{}", name.strip_prefix(OWN)?), tensor))
        };
        let apart = folder.path().join("apart.safetensors");
        write(&tensors.into_iter().filter_map(renamed).collect(), &apart).map_err(told)?;
        request.vae = Some(apart.display().to_string());
        deviation(&case, &run(request)?)
    })
}

/// What the tensors of a file are called.
#[derive(Clone, Copy)]
enum Names {
    /// As in the original code.
    Original,
    /// As in diffusers' folders, which is how most ControlNets for Stable Diffusion XL are shared.
    Diffusers,
}

/// A ControlNet in a file, with the configuration that no header tells beside it.
fn steered_by_a_file(case: Case, network: &'static str, names: Names) -> Trial {
    let kind = if matches!(names, Names::Original) { "" } else { "-diffusers-names" };
    measured(format!("single-file::{}{kind}", case.name), move || {
        let scratch = tempfile::tempdir().map_err(told)?;
        let mut request = controlnet::request(&case, scratch.path())?;
        let folder = PathBuf::from(&request.controlnets[0].model);
        let originals: HashMap<String, HashMap<String, String>> =
            fixtures::read_file(&set().join("controlnet-names.json"));
        let stored = folder.join("diffusion_pytorch_model.safetensors");
        let tensors = safetensors::load(&stored, &Device::Cpu).map_err(told)?;
        let renamed = tensors.into_iter().map(|(name, tensor)| match names {
            Names::Original => (originals[network][&name].clone(), tensor),
            Names::Diffusers => (name, tensor),
        });
        let file = folder.with_extension("safetensors");
        write(&renamed.collect(), &file).map_err(told)?;
        std::fs::remove_file(stored).map_err(told)?;
        request.controlnets[0].model = file.display().to_string();
        deviation(&case, &run(request)?)
    })
}

/// A pruned U-Net with the configuration that the reference wrote beside it, which must say the
/// same as the header does.
fn with_its_own_configuration(case: &Case) -> Trial {
    let case = case.clone();
    measured(format!("single-file::{}-own-configuration", case.name), move || {
        let folder = tempfile::tempdir().map_err(told)?;
        let request = changed(&case, Ok, folder.path())?;
        let beside = Path::new(&request.model).with_extension("").join("unet");
        std::fs::create_dir_all(&beside).map_err(told)?;
        std::fs::copy(set().join("xl-pruned-unet.json"), beside.join("config.json"))
            .map_err(told)?;
        deviation(&case, &run(request)?)
    })
}

fn differs_when(case: &Case, what: &str, change: Change) -> Trial {
    let case = case.clone();
    exact(format!("sensitivity::single-file-{}-{what}", case.name), move || {
        let folder = tempfile::tempdir().map_err(told)?;
        match deviation(&case, &run(changed(&case, change, folder.path())?)?) {
            Ok(deviation) if deviation.is_within() => Err(format!("passes: {deviation}")),
            _ => Ok(()),
        }
    })
}

/// Everything below `state_dict`, with running averages of other values beside the weights.
fn wrapped(tensors: Tensors) -> candle_core::Result<Tensors> {
    let mut wrapped = HashMap::new();
    for (name, tensor) in tensors {
        if let Some(rest) = name.strip_prefix("model.diffusion_model.") {
            let average = format!("state_dict.model_ema.diffusion_model{}", rest.replace('.', ""));
            wrapped.insert(average, (&tensor * 0.5)?);
        }
        wrapped.insert(format!("state_dict.{name}"), tensor);
    }
    Ok(wrapped)
}

/// Text encoders without `text_model.`, as transformers names them now.
fn newer_names(tensors: Tensors) -> candle_core::Result<Tensors> {
    Ok(tensors
        .into_iter()
        .map(|(name, tensor)| (name.replace(".text_model.", "."), tensor))
        .collect())
}

/// The projection as a linear layer's weight, as some converters leave it.
fn linear_projection(tensors: Tensors) -> candle_core::Result<Tensors> {
    let turned = |(name, tensor): (String, Tensor)| match name.ends_with(".text_projection") {
        true => Ok((format!("{name}.weight"), tensor.t()?.contiguous()?)),
        false => Ok((name, tensor)),
    };
    tensors.into_iter().map(turned).collect()
}

/// Query and value exchanged where they are stored together with the key.
fn swapped_thirds(mut tensors: Tensors) -> candle_core::Result<Tensors> {
    for (name, tensor) in &mut tensors {
        if name.ends_with("resblocks.0.attn.in_proj_bias") {
            let thirds = tensor.chunk(3, 0)?;
            *tensor = Tensor::cat(&[&thirds[2], &thirds[1], &thirds[0]], 0)?;
        }
    }
    Ok(tensors)
}

/// Two convolutions of the middle exchanged.
fn swapped_blocks(mut tensors: Tensors) -> candle_core::Result<Tensors> {
    let name =
        |block: usize| format!("model.diffusion_model.middle_block.{block}.in_layers.2.weight");
    if let (Some(first), Some(second)) = (tensors.remove(&name(0)), tensors.remove(&name(2))) {
        tensors.extend([(name(0), second), (name(2), first)]);
    }
    Ok(tensors)
}

/// Without what says that the network predicts velocities.
fn unmarked(mut tensors: Tensors) -> candle_core::Result<Tensors> {
    tensors.remove("v_pred");
    Ok(tensors)
}
