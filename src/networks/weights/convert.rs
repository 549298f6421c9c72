//! From a stored tensor to one that the run can use.

use candle_core::{DType, Device, Result, Tensor, safetensors::Load};
use rayon::prelude::*;
use safetensors::{Dtype, tensor::TensorView};

/// Bytes scanned by one task.
const CHUNK: usize = 1 << 20;

/// Whether the stored dtype can hold weights.
pub fn is_float(stored: Dtype) -> bool {
    matches!(stored, Dtype::F8_E4M3 | Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
}

/// Copies to `device` as `dtype`.
pub fn load(view: &TensorView<'_>, dtype: DType, device: &Device) -> Result<Tensor> {
    if DType::try_from(view.dtype())? == dtype {
        return view.load(device);
    }
    view.load(&Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}

/// Whether every number stays finite when converted to `dtype`.
pub fn is_finite(view: &TensorView<'_>, dtype: DType) -> bool {
    // The largest number that rounds to a finite one, as f32 bits: f16 ends at 65504.
    let limit = if dtype == DType::F16 { 65519.996_f32 } else { f32::MAX };
    match view.dtype() {
        Dtype::F8_E4M3 => all(view, |[byte]: [u8; 1]| byte & 0x7f != 0x7f),
        Dtype::F16 => all(view, |bytes| u16::from_le_bytes(bytes) & 0x7c00 != 0x7c00),
        Dtype::BF16 => {
            all(view, |[low, high]| f32::from_le_bytes([0, 0, low, high]).abs() <= limit)
        }
        Dtype::F32 => all(view, |bytes| f32::from_le_bytes(bytes).abs() <= limit),
        Dtype::F64 => all(view, |bytes| f64::from_le_bytes(bytes).abs() <= f64::from(limit)),
        _ => true,
    }
}

fn all<const N: usize>(view: &TensorView<'_>, fits: impl Fn([u8; N]) -> bool + Sync) -> bool {
    view.data().par_chunks(CHUNK).all(|bytes| bytes.as_chunks().0.iter().all(|&n| fits(n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finite(stored: Dtype, bytes: &[u8], dtype: DType) -> bool {
        let count = bytes.len() * 8 / stored.bitsize();
        is_finite(&TensorView::new(stored, vec![count], bytes).unwrap(), dtype)
    }

    #[test]
    fn infinities_and_nan_are_found_in_every_format() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!finite(Dtype::F32, &bad.to_le_bytes(), DType::F32));
            let half = half::f16::from_f32(bad).to_le_bytes();
            assert!(!finite(Dtype::F16, &half, DType::F32));
            let brain = half::bf16::from_f32(bad).to_le_bytes();
            assert!(!finite(Dtype::BF16, &brain, DType::F32));
            assert!(!finite(Dtype::F64, &f64::from(bad).to_le_bytes(), DType::F32));
        }
        assert!(!finite(Dtype::F8_E4M3, &[0x38, 0xff], DType::F32));
    }

    /// 1, -1.125, the smallest and the largest.
    #[test]
    fn eight_bits_are_enough_to_read() {
        let bytes = [0x38, 0xb9, 0x01, 0x7e];
        assert!(finite(Dtype::F8_E4M3, &bytes, DType::F16));
        let view = TensorView::new(Dtype::F8_E4M3, vec![4], &bytes).unwrap();
        let values = load(&view, DType::F32, &Device::Cpu).unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values, [1.0, -1.125, 1.0 / 512.0, 448.0]);
    }

    #[test]
    fn what_overflows_f16_is_found_only_there() {
        for (value, fits) in [(65504.0f32, true), (65519.0, true), (65520.0, false), (1e9, false)] {
            assert_eq!(finite(Dtype::F32, &value.to_le_bytes(), DType::F16), fits, "{value}");
            assert_eq!(half::f16::from_f32(value).is_finite(), fits, "{value}");
            assert!(finite(Dtype::F32, &value.to_le_bytes(), DType::F32));
        }
        assert!(finite(Dtype::F16, &half::f16::MAX.to_le_bytes(), DType::F16));
    }
}
