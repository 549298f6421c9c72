//! Which layers of a U-Net attend to the text, and through how many transformer blocks. In pruned
//! networks every layer may have another number, and the middle may have no attention, or be gone.

use serde_json::{Value, json};

use crate::catalog::single_file::{config::Config, config::object, parts::Component};

/// Numbers of transformer blocks.
pub struct Depths {
    /// By level and layer, from the finest; a level without attention has none.
    down: Vec<Vec<usize>>,
    /// From the coarsest; `None` where there is no way up.
    up: Option<Vec<Vec<usize>>>,
    middle: Middle,
}

#[derive(Clone, Copy, PartialEq)]
enum Middle {
    Attends(usize),
    Plain,
    Gone,
}

impl Depths {
    /// # Errors
    /// What diffusers' layout has no words for.
    pub fn of(unet: &Component, levels: usize) -> Result<Self, String> {
        let way = |blocks: &str| -> Result<Vec<Vec<usize>>, String> {
            (0..levels).map(|level| of_level(unet, &format!("{blocks}.{level}"))).collect()
        };
        let up = unet.has("conv_out").then(|| way("up_blocks")).transpose()?;
        let mut depths = Self { down: way("down_blocks")?, up, middle: Middle::of(unet)? };
        depths.agree()?;
        Ok(depths)
    }

    /// The middle has the depth of the last level's first layer, whether that level attends or not.
    fn agree(&mut self) -> Result<(), String> {
        let Middle::Attends(middle) = self.middle else { return Ok(()) };
        match self.down.last().and_then(|last| last.first()) {
            Some(&depth) if depth != middle => Err(format!(
                "its middle has {middle} transformer blocks and its last level {depth}, which \
                 must be the same"
            )),
            _ => Ok(()),
        }
    }

    /// For each level from the finest, whether something in it or after it attends.
    pub fn attends(&self) -> Vec<bool> {
        let last = self.down.len().saturating_sub(1);
        let attends = |level: usize| {
            let up = self.up.as_ref().is_some_and(|up| !up[last - level].is_empty());
            let middle = level == last && matches!(self.middle, Middle::Attends(_));
            !self.down[level].is_empty() || up || middle
        };
        (0..self.down.len()).map(attends).collect()
    }

    /// The keys that say all this.
    pub fn settings(&self) -> Config {
        let kinds = |way: &[Vec<usize>], name: &str| -> Vec<String> {
            let kind = |depths: &Vec<usize>| if depths.is_empty() { "" } else { "CrossAttn" };
            way.iter().map(|depths| format!("{}{name}Block2D", kind(depths))).collect()
        };
        let mut down: Vec<Value> = self.down.iter().map(|depths| number_or_list(depths)).collect();
        let mut settings = object(json!({ "down_block_types": kinds(&self.down, "Down") }));
        match (self.middle, self.down.last()) {
            (Middle::Attends(depth), Some(last)) if last.is_empty() => {
                down.pop();
                down.push(json!(depth));
            }
            (Middle::Attends(_), _) => {}
            (Middle::Plain, _) => {
                settings.insert("mid_block_type".into(), json!("UNetMidBlock2D"));
            }
            (Middle::Gone, _) => {
                settings.insert("mid_block_type".into(), Value::Null);
            }
        }
        if let Some(up) = &self.up {
            settings.insert("up_block_types".into(), json!(kinds(up, "Up")));
            let depths: Vec<Value> = up.iter().map(|depths| number_or_list(depths)).collect();
            // A level that does not attend has no depth of its own.
            let mirrored = |((there, depth), back): ((&Vec<usize>, &Value), &Value)| {
                there.is_empty() || (depth == back && depth.is_number())
            };
            let uneven = down.iter().any(Value::is_array);
            if uneven || !up.iter().zip(&depths).zip(down.iter().rev()).all(mirrored) {
                settings.insert("reverse_transformer_layers_per_block".into(), json!(depths));
            }
        }
        settings.insert("transformer_layers_per_block".into(), json!(down));
        settings
    }
}

impl Middle {
    fn of(unet: &Component) -> Result<Self, String> {
        let attends = unet.has("mid_block.attentions.0");
        match unet.count("mid_block.resnets") {
            0 if !attends => Ok(Self::Gone),
            1 if !attends => Ok(Self::Plain),
            2 if attends => Ok(Self::Attends(depth(unet, "mid_block.attentions.0"))),
            _ => Err("its middle is neither two residual blocks with attention between them nor \
                      one without"
                .into()),
        }
    }
}

/// Of each layer; none where no layer attends.
fn of_level(unet: &Component, block: &str) -> Result<Vec<usize>, String> {
    let layers = unet.count(&format!("{block}.resnets"));
    let attention = |layer: usize| format!("{block}.attentions.{layer}");
    let attended: Vec<usize> = (0..layers).filter(|layer| unet.has(&attention(*layer))).collect();
    match attended.len() {
        0 => Ok(Vec::new()),
        all if all == layers => {
            Ok(attended.into_iter().map(|layer| depth(unet, &attention(layer))).collect())
        }
        some => Err(format!("of the {layers} layers in {block} only {some} attend to the text")),
    }
}

fn depth(unet: &Component, attention: &str) -> usize {
    unet.count(&format!("{attention}.transformer_blocks"))
}

/// One number where all layers have the same; 1, which counts for nothing, where there are none.
fn number_or_list(depths: &[usize]) -> Value {
    match depths {
        [] => json!(1),
        [first, rest @ ..] if rest.iter().all(|depth| depth == first) => json!(first),
        _ => json!(depths),
    }
}
