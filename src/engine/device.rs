//! Which device a request runs on, and in which number format.

use candle_core::DType;

use super::{Device, Dtype, EngineError, memory};
use crate::catalog::Machine;

/// The device that a choice means on this machine.
///
/// # Errors
/// When it is named and this build or this machine has none.
pub fn open(choice: Device) -> Result<candle_core::Device, EngineError> {
    let unavailable = |what: &str, feature: &str, error: candle_core::Error| {
        let reason = error.to_string();
        let reason = reason.lines().next().unwrap_or_default();
        EngineError::invalid(format!(
            "{what} cannot be used here ({reason}); name --device cpu, or build with --features \
             {feature} on a machine that has it"
        ))
    };
    match choice {
        Device::Auto => Ok(best()),
        Device::Cpu => Ok(candle_core::Device::Cpu),
        Device::Cuda(index) => candle_core::Device::new_cuda(index)
            .map_err(|error| unavailable(&format!("the CUDA device {index}"), "cuda", error)),
        Device::Metal => {
            candle_core::Device::new_metal(0).map_err(|error| unavailable("Metal", "metal", error))
        }
    }
}

/// The first accelerator that this build can use and this machine has, otherwise the processor.
fn best() -> candle_core::Device {
    let accelerator =
        [candle_core::Device::cuda_if_available(0), candle_core::Device::metal_if_available(0)];
    accelerator
        .into_iter()
        .flatten()
        .find(|device| !device.is_cpu())
        .unwrap_or(candle_core::Device::Cpu)
}

/// The format that the U-Net runs in.
pub fn dtype(choice: Option<Dtype>, device: &candle_core::Device) -> DType {
    match choice {
        Some(Dtype::F32) => DType::F32,
        Some(Dtype::F16) => DType::F16,
        Some(Dtype::Bf16) => DType::BF16,
        None if device.is_cpu() => DType::F32,
        None => DType::F16,
    }
}

/// A device's name for a person, such as "CPU" or "CUDA 0". Says what a choice means here.
pub fn device_name(choice: Device) -> String {
    match open(choice) {
        Ok(device) if device.is_cuda() => match choice {
            Device::Cuda(index) => format!("CUDA {index}"),
            _ => "CUDA 0".into(),
        },
        Ok(device) if device.is_metal() => "Metal".into(),
        Ok(_) => "CPU".into(),
        Err(_) => "not available".into(),
    }
}

/// What decides which models do well here.
pub fn this_machine() -> Machine {
    Machine { accelerated: !best().is_cpu(), memory: memory::machine_bytes().map(|(all, _)| all) }
}
