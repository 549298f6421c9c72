//! Sampling: schedulers, noise, guidance, latent preview and the denoising loop.
