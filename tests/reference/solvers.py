"""Writes tests/fixtures/parity/units/solvers.*: more loops of schedulers, by the same means as units.py.

Every class with every timestep spacing, and each setting that changes what a class computes.

    python tests/reference/solvers.py
"""

import json

import torch

import units
from make_fixtures import FIXTURES, provenance

KARRAS = dict(use_karras_sigmas=True)
EXPONENTIAL = dict(use_exponential_sigmas=True)
BETA = dict(use_beta_sigmas=True)
V = dict(prediction_type="v_prediction")
SAMPLE = dict(prediction_type="sample")
THRESHOLD = dict(thresholding=True, sample_max_value=1.6, dynamic_thresholding_ratio=0.9)
TO_MIN = dict(final_sigmas_type="sigma_min")
SDE = dict(algorithm_type="sde-dpmsolver++")
SPACED = [dict(timestep_spacing=spacing) for spacing in ("leading", "linspace", "trailing")]
ZERO_SNR = dict(rescale_betas_zero_snr=True, timestep_spacing="trailing")


def configs() -> list[tuple[str, dict, int]]:
    """(name, config, steps) of every loop."""
    rows = []

    def add(name: str, steps: int, *settings: dict) -> None:
        rows.append((name, units.SD | {key: value for one in settings for key, value in one.items()}, steps))

    for spacing in SPACED:
        for name in ("DEIS", "LMS", "DDPM", "KDPM2", "KDPM2Ancestral", "PNDM"):
            add(name, 5, spacing, dict(clip_sample=False))
        add("DPMSolverMultistep", 6, spacing, SDE)
        add("DEIS", 6, spacing, V)
    for spread in (KARRAS, EXPONENTIAL, BETA):
        for name in ("DEIS", "LMS", "KDPM2", "KDPM2Ancestral", "Heun", "Euler", "DPMSolverSinglestep"):
            add(name, 6, spread)
        add("DPMSolverMultistep", 6, spread, SDE)
        add("DPMSolverSinglestep", 7, spread, SDE)
    for name in ("DEIS", "LMS", "KDPM2", "KDPM2Ancestral", "DDPM", "TCD", "DPMSolverSinglestep"):
        add(name, 4, V)
    for name in ("DEIS", "LMS", "DDPM", "TCD", "LCM", "DPMSolverSinglestep"):
        add(name, 4, SAMPLE)
    # A last alpha of 0 divides by zero in epsilon prediction; models trained so predict v.
    for name in ("DDIM", "DDPM", "Euler", "EulerAncestral", "LCM", "TCD", "DPMSolverMultistep", "UniPC"):
        add(name, 5, ZERO_SNR, V)
    for name in ("DDIM", "DDPM", "LCM", "DPMSolverMultistep", "DPMSolverSinglestep", "UniPC", "DEIS"):
        add(name, 5, THRESHOLD)
    for steps in (5, 6, 7):
        for order in (1, 2, 3):
            add("DEIS", steps, dict(solver_order=order))
            add("DPMSolverSinglestep", steps, dict(solver_order=order))
    add("DEIS", 16, dict(solver_order=2))
    add("DEIS", 16, dict(solver_order=3), KARRAS)
    add("DEIS", 8, dict(solver_order=3, lower_order_final=False))
    for solver in ("midpoint", "heun"):
        for order in (2, 3):
            for lower in (False, True):
                add("DPMSolverSinglestep", 6, TO_MIN, dict(solver_order=order, solver_type=solver, lower_order_final=lower))
            add("DPMSolverSinglestep", 9, SDE, dict(solver_order=order, solver_type=solver))
            add("DPMSolverSinglestep", 8, TO_MIN, dict(algorithm_type="dpmsolver", solver_order=order, solver_type=solver))
    add("DPMSolverSinglestep", 6, dict(algorithm_type="deis", solver_type="bh2"), TO_MIN)
    add("DPMSolverSinglestep", 6, dict(lambda_min_clipped=-5.1, beta_schedule="squaredcos_cap_v2"))
    add("DPMSolverSinglestep", 7, dict(lower_order_final=True))
    add("DPMSolverSinglestep", 1)
    add("DPMSolverSinglestep", 2, dict(solver_order=3))
    # Settings of DPM-Solver++ 2M.
    add("DPMSolverMultistep", 6, dict(use_lu_lambdas=True))
    add("DPMSolverMultistep", 6, dict(use_lu_lambdas=True), SDE)
    add("DPMSolverMultistep", 16, dict(euler_at_final=True), TO_MIN)
    add("DPMSolverMultistep", 16, dict(euler_at_final=False), TO_MIN)
    add("DPMSolverMultistep", 6, dict(lower_order_final=False, solver_order=3), TO_MIN)
    add("DPMSolverMultistep", 6, dict(lower_order_final=False), SDE, KARRAS, TO_MIN)
    add("DPMSolverMultistep", 6, SDE, dict(solver_order=3, solver_type="heun"))
    add("UniPC", 6, TO_MIN, KARRAS)
    add("Euler", 6, TO_MIN, KARRAS)
    add("Euler", 6, dict(sigma_min=0.1, sigma_max=9.0), EXPONENTIAL)
    # Models for few steps.
    for steps in (1, 2, 4, 8):
        add("LCM", steps)
        add("TCD", steps)
        add("Euler", steps, dict(timestep_spacing="trailing"))
        add("EulerAncestral", steps, dict(timestep_spacing="trailing"))
        add("DDIM", steps, dict(timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=False))
    add("LCM", 4, dict(original_inference_steps=40, timestep_scaling=4.0))
    add("LCM", 3, dict(original_inference_steps=100))
    add("TCD", 4, dict(original_inference_steps=40, set_alpha_to_one=False))
    add("TCD", 7, dict(original_inference_steps=100))
    # Noise along a Brownian path, which has a seed of its own.
    for seed, settings in enumerate([*SPACED, KARRAS, EXPONENTIAL, BETA, V]):
        add("DPMSolverSDE", 5, dict(noise_sampler_seed=11 * seed), settings)
    add("DPMSolverSDE", 7, dict(noise_sampler_seed=2**40 + 5))
    add("DPMSolverSDE", 1, dict(noise_sampler_seed=3))
    return rows


def main() -> None:
    torch.set_num_threads(1)
    folder = FIXTURES / "units"
    rows = units.write_loops(folder / "solvers.safetensors", configs())
    index = {"provenance": provenance("solvers.py"), "schedulers": rows}
    (folder / "solvers.json").write_text(json.dumps(index, separators=(",", ":")) + "\n")
    print(len(rows), "loops")


if __name__ == "__main__":
    main()
