//! Files against a network of three layers.

use std::{collections::HashMap, ops::ControlFlow, path::PathBuf};

use candle_core::{DType, Device, Module, Tensor};

use super::{AlphaRule, Lora, Part, Parts, Slots, install};
use crate::networks::{
    Weights,
    layers::{Conv2d, Linear},
};

struct Network {
    to_k: Linear,
    conv: Conv2d,
    slots: Slots,
    folder: tempfile::TempDir,
}

fn random(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()
}

fn save(tensors: Vec<(&str, Tensor)>, file: &std::path::Path) {
    candle_core::safetensors::save(&tensors.into_iter().collect::<HashMap<_, _>>(), file).unwrap();
}

impl Network {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tensors = vec![
            ("attn2.to_k.weight", random(&[6, 4])),
            ("conv1.weight", random(&[5, 3, 3, 3])),
            ("conv1.bias", random(&[5])),
        ];
        save(tensors, &folder.path().join("model.safetensors"));
        let weights =
            Weights::open(folder.path(), DType::F32, &Device::Cpu, |_| ControlFlow::Continue(()))
                .unwrap();
        Self {
            to_k: Linear::load_no_bias(&weights.pp("attn2.to_k"), 4, 6).unwrap(),
            conv: Conv2d::load_strided(&weights.pp("conv1"), 3, 5, 3, 2, 1).unwrap(),
            slots: weights.slots().also_named(|path| Some(format!("blocks.0.{path}"))),
            folder,
        }
    }

    fn parts(&self) -> Parts<'_> {
        [(Part::Unet, &self.slots)].into()
    }

    fn file(&self, tensors: Vec<(&str, Tensor)>) -> PathBuf {
        let file = self.folder.path().join("lora.safetensors");
        save(tensors, &file);
        file
    }

    fn open(&self, tensors: Vec<(&str, Tensor)>) -> Result<Lora, String> {
        let lora = Lora::open(&self.file(tensors), &self.parts(), AlphaRule::Own);
        lora.map_err(|error| error.to_string())
    }

    fn refusal(&self, tensors: Vec<(&str, Tensor)>) -> String {
        let told = self.open(tensors).unwrap_err();
        assert!(told.contains("lora.safetensors"), "{told}");
        told
    }
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn an_addition_is_what_a_merged_weight_would_be() {
    let network = Network::new();
    let (down, up) = (random(&[2, 4]), random(&[6, 2]));
    let (low, high) = (random(&[2, 3, 3, 3]), random(&[5, 2, 1, 1]));
    let lora = network
        .open(vec![
            ("unet.attn2.to_k.lora_A.weight", down.clone()),
            ("unet.attn2.to_k.lora_B.weight", up.clone()),
            ("lora_unet_blocks_0_conv1.lora_down.weight", low.clone()),
            ("lora_unet_blocks_0_conv1.lora_up.weight", high.clone()),
            ("lora_unet_blocks_0_conv1.alpha", Tensor::new(1f32, &Device::Cpu).unwrap()),
        ])
        .unwrap();
    let x = random(&[2, 3, 4]);
    let picture = random(&[1, 3, 8, 8]);
    let plain = (network.to_k.forward(&x).unwrap(), network.conv.forward(&picture).unwrap());
    // Twice the file at different strengths is the file at their sum.
    install(&network.parts(), &[(&lora, 0.5), (&lora, 1.5)]).unwrap();
    let product = up.matmul(&down).unwrap();
    let right = x.broadcast_matmul(&(product.t().unwrap() * 2.0).unwrap()).unwrap() + &plain.0;
    assert!(difference(&network.to_k.forward(&x).unwrap(), &right.unwrap()) < 1e-5);
    let low = low.reshape((2, 27)).unwrap();
    let kernel = high.reshape((5, 2)).unwrap().matmul(&low).unwrap().reshape((5, 3, 3, 3)).unwrap();
    // Alpha 1 of rank 2, strength 2.
    let right = picture.conv2d(&kernel, 1, 2, 1, 1).unwrap() + &plain.1;
    assert!(difference(&network.conv.forward(&picture).unwrap(), &right.unwrap()) < 1e-4);
    install(&network.parts(), &[]).unwrap();
    assert_eq!(difference(&network.to_k.forward(&x).unwrap(), &plain.0), 0.0);
    install(&network.parts(), &[(&lora, 0.0)]).unwrap();
    assert_eq!(difference(&network.conv.forward(&picture).unwrap(), &plain.1), 0.0);
}

#[test]
fn layers_that_the_model_lacks_are_counted() {
    let network = Network::new();
    let told = network.refusal(vec![
        ("lora_unet_attn2_to_k.lora_down.weight", random(&[2, 2048])),
        ("lora_unet_attn2_to_k.lora_up.weight", random(&[6, 2])),
        ("lora_te2_text_projection.lora_down.weight", random(&[2, 4])),
        ("lora_te2_text_projection.lora_up.weight", random(&[6, 2])),
    ]);
    let right = "1 of its 2 layers do not exist in this model, the first is text_projection; the \
                 file was made for Stable Diffusion XL";
    assert!(told.ends_with(right), "{told}");
}

#[test]
fn another_width_is_named() {
    let network = Network::new();
    let told = network.refusal(vec![
        ("unet.attn2.to_k.lora.down.weight", random(&[2, 768])),
        ("unet.attn2.to_k.lora.up.weight", random(&[6, 2])),
    ]);
    assert!(told.contains("[2, 768], but this model needs [2, 4]"), "{told}");
    assert!(told.ends_with("made for Stable Diffusion 1"), "{told}");
}

#[test]
fn what_is_no_lora_is_refused() {
    let network = Network::new();
    let told = network.refusal(vec![("lora_unet_conv1.hada_w1_a", random(&[2, 2]))]);
    assert!(told.contains("LoHa"), "{told}");
    let told = network.refusal(vec![("model.weight", random(&[2, 2]))]);
    assert!(told.contains("model.weight belongs to no LoRA"), "{told}");
    let told = network.refusal(vec![("unet.conv1.lora_A.weight", random(&[2, 3, 3, 3]))]);
    assert!(told.contains("only one of its two matrices"), "{told}");
    assert!(network.refusal(vec![]).contains("no LoRA"));
    let infinite = Tensor::new(&[[f32::INFINITY; 4]], &Device::Cpu).unwrap();
    let told = network.refusal(vec![
        ("attn2.to_k.lora_A.weight", infinite),
        ("attn2.to_k.lora_B.weight", random(&[6, 1])),
    ]);
    assert!(told.contains("not finite"), "{told}");
    let file = network.folder.path().join("lora.pt");
    let told = Lora::open(&file, &network.parts(), AlphaRule::Own).unwrap_err().to_string();
    assert!(told.contains("pickle"), "{told}");
    std::fs::write(network.file(vec![]), b"<html>").unwrap();
    let file = network.folder.path().join("lora.safetensors");
    let told = Lora::open(&file, &network.parts(), AlphaRule::Own).unwrap_err().to_string();
    assert!(told.contains("damaged"), "{told}");
}

#[test]
fn twice_the_same_layer_is_refused() {
    let network = Network::new();
    let told = network.refusal(vec![
        ("lora_unet_attn2_to_k.lora_down.weight", random(&[2, 4])),
        ("lora_unet_attn2_to_k.lora_up.weight", random(&[6, 2])),
        ("unet.attn2.to_k.lora_A.weight", random(&[2, 4])),
        ("unet.attn2.to_k.lora_B.weight", random(&[6, 2])),
    ]);
    assert!(told.contains("two sets of weights for attn2.to_k"), "{told}");
}
