//! Which parts of a model are in memory when, so that a run stays within a budget.

use super::{Needs, in_words};
use crate::engine::EngineError;

/// See the module. Without a budget everything stays loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrangement {
    /// What reads the prompt stays afterwards.
    pub keep_text: bool,
    /// The autoencoder stays while the U-Net works.
    pub keep_autoencoder: bool,
    /// The U-Net stays while the others work.
    pub keep_unet: bool,
    /// Bytes of the U-Net's layers that stay loaded; the others are read for every evaluation.
    /// `None`: all of them stay.
    pub resident: Option<u64>,
    /// Bytes that the autoencoder's work may take; `None` is without limit.
    pub room: Option<usize>,
    /// Other models of the run leave memory while this one works.
    pub alone: bool,
    /// The most that the process will take, in bytes.
    pub predicted: u64,
    /// Bytes of all weights of the model.
    pub weights: u64,
}

impl Default for Arrangement {
    /// Everything stays.
    fn default() -> Self {
        Self {
            keep_text: true,
            keep_autoencoder: true,
            keep_unet: true,
            resident: None,
            room: None,
            alone: false,
            predicted: 0,
            weights: 0,
        }
    }
}

/// Into how many steps the search for the widest room is divided.
const ROOMS: u64 = 16;

impl Arrangement {
    /// The fastest arrangement that stays within `budget` bytes.
    ///
    /// # Errors
    /// If there is none.
    pub fn within(needs: &Needs, budget: Option<u64>) -> Result<Self, EngineError> {
        let lavish = Self::lavish(needs);
        let Some(budget) = budget.filter(|budget| lavish.predicted > *budget) else {
            return Ok(lavish);
        };
        let frugal = Self {
            keep_text: false,
            keep_autoencoder: needs.previews_decoded,
            keep_unet: false,
            ..lavish
        };
        let frugal = frugal.with_room(needs, budget).with_resident(needs, budget);
        if frugal.peak(needs) > budget {
            return Err(too_small(budget, frugal.least(needs)));
        }
        // What costs most to load again stays, as far as it fits.
        let wishes: [fn(&mut Self); 3] = [
            |arrangement| arrangement.keep_unet = true,
            |arrangement| arrangement.keep_autoencoder = true,
            |arrangement| arrangement.keep_text = true,
        ];
        let best = wishes.iter().fold(frugal, |best, wish| {
            let mut wished = best;
            wish(&mut wished);
            if wished.peak(needs) <= budget { wished } else { best }
        });
        Ok(Self { predicted: best.peak(needs), ..best })
    }

    /// Everything stays, whatever it takes.
    fn lavish(needs: &Needs) -> Self {
        let all = Self::default();
        Self { predicted: all.peak(needs), weights: needs.weights(), ..all }
    }

    /// Limits the autoencoder's work where the whole of it does not fit.
    fn with_room(self, needs: &Needs, budget: u64) -> Self {
        let left = budget.saturating_sub(needs.base + needs.autoencoder);
        if needs.coding(None) <= left {
            return self;
        }
        // What lies whole before and after the bands counts too, so not all of it is room.
        let rooms = (1..=ROOMS).rev().map(|part| left * part / ROOMS);
        let room = rooms.map(|room| room as usize).find(|room| needs.coding(Some(*room)) <= left);
        Self { room: Some(room.unwrap_or(0)), ..self }
    }

    /// Streams layers of the U-Net where not all of them fit.
    fn with_resident(self, needs: &Needs, budget: u64) -> Self {
        let besides =
            if self.keep_autoencoder { needs.autoencoder + needs.coding(self.room) } else { 0 };
        let left = budget.saturating_sub(needs.base + needs.sampling + besides);
        if needs.unet <= left {
            return self;
        }
        Self { resident: Some(left.saturating_sub(needs.largest_layer)), ..self }
    }

    /// The most of the phases: reading the prompt, the autoencoder's work, sampling.
    fn peak(&self, needs: &Needs) -> u64 {
        let kept = |keeps: bool, bytes: u64| if keeps { bytes } else { 0 };
        let text = kept(self.keep_text, needs.text);
        let autoencoder = kept(self.keep_autoencoder, needs.autoencoder);
        // Between its uses no layer is being read.
        let unet = kept(self.keep_unet, self.resident.unwrap_or(needs.unet).min(needs.unet));
        let reading = if self.keep_text { text + needs.passing } else { needs.reading };
        let reading = reading + autoencoder + unet;
        let coding = needs.autoencoder + needs.coding(self.room) + text + unet;
        let previews = kept(needs.previews_decoded, needs.coding(self.room));
        let sampling = self.unet_at_work(needs) + needs.sampling.max(previews) + text + autoencoder;
        needs.base + reading.max(coding).max(sampling)
    }

    /// What the U-Net takes while it works: what stays, and the layer that is being read.
    fn unet_at_work(&self, needs: &Needs) -> u64 {
        match self.resident {
            None => needs.unet,
            Some(resident) => needs.unet.min(resident + needs.largest_layer),
        }
    }

    /// The least that this run can be done in.
    fn least(&self, needs: &Needs) -> u64 {
        let coding = needs.autoencoder + needs.coding(Some(0));
        let sampling = needs.largest_layer + needs.sampling;
        needs.base + needs.reading.max(coding).max(sampling)
    }
}

fn too_small(budget: u64, least: u64) -> EngineError {
    EngineError::invalid(format!(
        "a memory budget of {} is too small: this run needs {}; take a smaller size, fewer pictures \
         at once, or a larger budget",
        in_words(budget),
        in_words(least)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn needs() -> Needs {
        Needs::of_numbers([100, 500, 3400, 250, 330, 900, 300].map(|mib| mib * MIB))
    }

    fn within(mib: u64) -> Arrangement {
        let found = Arrangement::within(&needs(), Some(mib * MIB)).unwrap();
        assert!(found.predicted <= mib * MIB, "{found:?}");
        found
    }

    #[test]
    fn without_need_everything_stays() {
        let all = Arrangement::within(&needs(), None).unwrap();
        assert!(all.keep_text && all.keep_unet && all.keep_autoencoder);
        assert_eq!((all.room, all.resident), (None, None));
        assert_eq!(all.predicted, (100 + 500 + 3400 + 330 + 900) * MIB);
        assert_eq!(within(6000), all);
    }

    #[test]
    fn the_smaller_the_budget_the_more_is_given_up() {
        let first = within(5000);
        assert!(first.keep_unet && !first.keep_text && first.room.is_none());
        let second = within(4200);
        assert!(!second.keep_unet && second.resident.is_none(), "{second:?}");
        let third = within(2500);
        assert!(third.resident.is_some_and(|bytes| bytes < 2400 * MIB), "{third:?}");
        let fourth = within(1000);
        assert!(fourth.room.is_some() && fourth.resident.is_some(), "{fourth:?}");
    }

    #[test]
    fn what_reads_the_prompt_one_after_the_other_need_not_fit_at_once() {
        // A text encoder and a prior, then a picture encoder.
        let mut needs = Needs::of_numbers([100, 2500, 1200, 250, 330, 900, 300].map(|m| m * MIB));
        (needs.passing, needs.reading) = (1800 * MIB, 1800 * MIB);
        let all = Arrangement::within(&needs, None).unwrap();
        assert_eq!(all.predicted, (100 + 2500 + 1800 + 1200 + 330) * MIB);
        let least = Arrangement::within(&needs, Some(1900 * MIB)).unwrap();
        assert_eq!(least.predicted, 1900 * MIB);
        assert!(!least.keep_text && !least.keep_unet && !least.keep_autoencoder, "{least:?}");
        assert!(Arrangement::within(&needs, Some(1899 * MIB)).is_err());
        // Nothing is gained by keeping what leaves no room for the rest.
        let roomy = Arrangement::within(&needs, Some(5000 * MIB)).unwrap();
        assert!(roomy.keep_unet && roomy.keep_autoencoder && !roomy.keep_text, "{roomy:?}");
    }

    #[test]
    fn an_impossible_budget_says_what_would_do() {
        let error = Arrangement::within(&needs(), Some(200 * MIB)).unwrap_err().to_string();
        assert!(error.contains("200 MiB") && error.contains("needs"), "{error}");
    }
}
