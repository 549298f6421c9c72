"""Writes tests/fixtures/schedulers.json: full denoising loops of the reference's schedulers.

The network is a stand-in that both sides compute alike: a wave of the latents and the timestep.

    pip install torch==2.15.0 diffusers==0.42.1 scipy==1.17.1
    python tests/reference/schedulers.py
"""

import json
import pathlib

import diffusers
import torch

SD = dict(
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    num_train_timesteps=1000,
    steps_offset=1,
    set_alpha_to_one=False,
    clip_sample=False,
    skip_prk_steps=True,
)
SHAPE = (1, 2, 3, 4)
V = dict(prediction_type="v_prediction")
KARRAS = dict(use_karras_sigmas=True)
EXPONENTIAL = dict(use_exponential_sigmas=True)
BETA = dict(use_beta_sigmas=True)
TRAILING = dict(timestep_spacing="trailing")
LEADING = dict(timestep_spacing="leading")
LINSPACE = dict(timestep_spacing="linspace")
COSINE = dict(beta_schedule="squaredcos_cap_v2")
ZERO_SNR = dict(rescale_betas_zero_snr=True, **TRAILING, **V)


def case(cls, steps, options=None, begin=None, eta=0.0, base=SD, repaint=False):
    return dict(cls=cls, steps=steps, options=options or {}, begin=begin, eta=eta, base=base, repaint=repaint)


def cases():
    ddim = "DDIMScheduler"
    yield case(ddim, 10)
    yield case(ddim, 7, base={})
    yield case(ddim, 10, dict(clip_sample=True, clip_sample_range=0.7, set_alpha_to_one=True), eta=1.0)
    yield case(ddim, 8, dict(thresholding=True, sample_max_value=1.5), eta=0.4)
    yield case(ddim, 9, dict(prediction_type="sample", **LINSPACE))
    yield case(ddim, 12, ZERO_SNR)
    yield case(ddim, 10, begin=4, repaint=True)
    yield case(ddim, 6, COSINE)
    yield case(ddim, 4, dict(trained_betas=[0.001 + 0.00001 * i for i in range(1000)]))

    pndm = "PNDMScheduler"
    yield case(pndm, 10)
    yield case(pndm, 1)
    yield case(pndm, 2)
    yield case(pndm, 12, dict(skip_prk_steps=False))
    yield case(pndm, 10, dict(**V, **TRAILING, set_alpha_to_one=True))
    yield case(pndm, 9, dict(skip_prk_steps=False, **LINSPACE))
    yield case(pndm, 10, begin=3, repaint=True)

    euler = "EulerDiscreteScheduler"
    for options in ({}, KARRAS, EXPONENTIAL, BETA, V, LEADING, TRAILING, dict(prediction_type="sample")):
        yield case(euler, 9, options)
    yield case(euler, 6, dict(final_sigmas_type="sigma_min", **KARRAS, **LEADING))
    yield case(euler, 6, dict(interpolation_type="log_linear"))
    yield case(euler, 6, dict(timestep_type="continuous", sigma_min=0.002, sigma_max=80.0, **V, **KARRAS))
    yield case(euler, 10, ZERO_SNR)
    yield case(euler, 10, begin=6, repaint=True)
    yield case(euler, 1)
    yield case(euler, 7, base={})

    ancestral = "EulerAncestralDiscreteScheduler"
    for options in ({}, V, LEADING, TRAILING, ZERO_SNR):
        yield case(ancestral, 8, options)
    yield case(ancestral, 8, begin=3, repaint=True)

    dpm = "DPMSolverMultistepScheduler"
    for order in (1, 2, 3):
        for solver in ("midpoint", "heun"):
            for steps in (6, 16):
                yield case(dpm, steps, dict(solver_order=order, solver_type=solver))
    for options in (KARRAS, EXPONENTIAL, BETA, V, LEADING, TRAILING, dict(prediction_type="sample"), ZERO_SNR):
        yield case(dpm, 11, options)
    yield case(dpm, 16, dict(euler_at_final=True, final_sigmas_type="sigma_min"))
    yield case(dpm, 16, dict(lower_order_final=False, final_sigmas_type="sigma_min", solver_order=3))
    yield case(dpm, 8, dict(lower_order_final=False, **KARRAS))
    yield case(dpm, 8, dict(lambda_min_clipped=-5.1, **COSINE))
    # Predicting noise would divide by an alpha of 1e-5 here, and rounding would rule the result.
    cosine = dict(lambda_min_clipped=-5.1, prediction_type="sample", **COSINE)
    yield case(dpm, 8, dict(**KARRAS, **cosine), begin=0)
    yield case(dpm, 8, dict(thresholding=True, sample_max_value=1.5))
    noise = dict(algorithm_type="dpmsolver", final_sigmas_type="sigma_min")
    for order in (1, 2, 3):
        yield case(dpm, 16, dict(solver_order=order, **noise))
    yield case(dpm, 16, dict(solver_type="heun", **noise, **V))
    yield case(dpm, 8, dict(thresholding=True, sample_max_value=1.5, **noise))
    for order in (1, 2, 3):
        for solver in ("midpoint", "heun"):
            yield case(dpm, 16, dict(algorithm_type="sde-dpmsolver++", solver_order=order, solver_type=solver))
    yield case(dpm, 8, dict(algorithm_type="sde-dpmsolver++", **KARRAS))
    for solver in ("midpoint", "heun"):
        yield case(dpm, 8, dict(algorithm_type="sde-dpmsolver", final_sigmas_type="sigma_min", solver_type=solver))
    yield case(dpm, 20, begin=8, repaint=True)
    yield case(dpm, 100, KARRAS, begin=90)
    yield case(dpm, 120, dict(beta_schedule="linear", **KARRAS), begin=0)
    yield case(dpm, 7, base={})

    unipc = "UniPCMultistepScheduler"
    for order in (1, 2, 3):
        for solver in ("bh1", "bh2"):
            for steps in (5, 14):
                # The reference multiplies infinity by zero for bh1 that ends at zero.
                final = "sigma_min" if solver == "bh1" else "zero"
                yield case(unipc, steps, dict(solver_order=order, solver_type=solver, final_sigmas_type=final))
    for options in (KARRAS, EXPONENTIAL, BETA, V, LEADING, TRAILING, dict(prediction_type="sample"), ZERO_SNR):
        yield case(unipc, 9, options)
    yield case(unipc, 9, dict(predict_x0=False, final_sigmas_type="sigma_min"))
    yield case(unipc, 9, dict(predict_x0=False, final_sigmas_type="sigma_min", solver_order=3, **V))
    yield case(unipc, 9, dict(final_sigmas_type="sigma_min", lower_order_final=False, **KARRAS))
    yield case(unipc, 9, dict(disable_corrector=[0, 1], sigma_min=0.05, sigma_max=10.0, **KARRAS))
    yield case(unipc, 9, dict(thresholding=True, sample_max_value=1.5))
    yield case(unipc, 12, begin=5, repaint=True)
    yield case(unipc, 7, base={})

    heun = "HeunDiscreteScheduler"
    for options in ({}, KARRAS, EXPONENTIAL, BETA, V, LEADING, TRAILING, dict(prediction_type="sample")):
        yield case(heun, 6, options)
    yield case(heun, 6, dict(clip_sample=True, clip_sample_range=0.8))
    yield case(heun, 8, begin=6, repaint=True)
    yield case(heun, 7, base={})

    lcm = "LCMScheduler"
    yield case(lcm, 4)
    yield case(lcm, 8, V)
    yield case(lcm, 5, dict(original_inference_steps=40, timestep_scaling=3.0, prediction_type="sample"))
    yield case(lcm, 4, dict(clip_sample=True, clip_sample_range=0.8))
    yield case(lcm, 6, begin=2, repaint=True)
    yield case(lcm, 1)
    yield case(lcm, 4, base={})


def network(sample, t):
    return 0.8 * torch.sin(1.7 * sample + 0.002 * float(t)) + 0.1 * sample


def run(config):
    cls = getattr(diffusers, config["cls"])
    values = {**config["base"], **config["options"]}
    values = {"_class_name": config["cls"], **values}
    scheduler = cls.from_config(values)
    scheduler.set_timesteps(config["steps"])
    generator = torch.Generator("cpu").manual_seed(1234)
    noise = torch.randn(SHAPE, generator=generator)
    clean = torch.cos(torch.arange(noise.numel(), dtype=torch.float32)).reshape(SHAPE)
    timesteps = scheduler.timesteps
    if config["begin"] is None:
        latents = noise * scheduler.init_noise_sigma
    else:
        timesteps = timesteps[config["begin"] :]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(config["begin"])
        latents = scheduler.add_noise(clean, noise, timesteps[:1])
    extra = {}
    if "generator" in cls.step.__code__.co_varnames:
        extra["generator"] = generator
    if config["eta"]:
        extra["eta"] = config["eta"]
    trace = []
    for i, t in enumerate(timesteps):
        output = network(scheduler.scale_model_input(latents, t), t)
        latents = scheduler.step(output, t, latents, **extra).prev_sample
        if config["repaint"]:
            # As inpainting does with four channels, so that add_noise is seen in the middle of a run.
            kept = clean
            if i + 1 < len(timesteps):
                kept = scheduler.add_noise(clean, noise, timesteps[i + 1].reshape(1))
            latents[..., :2] = kept[..., :2]
        trace.append(round(float(latents.abs().mean()), 6))
    assert torch.isfinite(latents).all(), config
    return dict(
        scheduler=config["cls"],
        config=values,
        steps=config["steps"],
        begin=config["begin"],
        eta=config["eta"],
        repaint=config["repaint"],
        timesteps=[round(float(t), 4) for t in scheduler.timesteps],
        init_noise_sigma=float(scheduler.init_noise_sigma),
        magnitudes=trace,
        latents=[float(f"{v:.8g}") for v in latents.flatten().tolist()],
    )


def main():
    results = [run(config) for config in cases()]
    out = pathlib.Path(__file__).parent.parent / "fixtures" / "schedulers.json"
    lines = ",\n".join(json.dumps(result, separators=(",", ":")) for result in results)
    out.write_text(f"[\n{lines}\n]\n")
    print(len(results), "cases,", out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
