"""Writes tests/fixtures/parity: models, inputs, and for each case the settings, the latents and the pictures.

    python tests/reference/make_fixtures.py [--only CASE ...] [--skip-models] [--skip-units]
"""

import argparse
import json
import platform
from pathlib import Path

import diffusers
import numpy
import PIL
import torch
import transformers

import cases
import models
import pictures
import runner
import store
import units

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "parity"


def provenance(script: str) -> dict:
    """What made a file: for its metadata."""
    return {
        "made_by": f"tests/reference/{script}",
        "torch": torch.__version__.split("+")[0],
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "numpy": numpy.__version__,
        "pillow": PIL.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def write_case(name: str, settings: dict, inputs: Path | None = None) -> dict:
    """Runs one case and stores it; returns its row of cases.json."""
    result = runner.run(FIXTURES / "models" / settings["model"], settings, inputs or FIXTURES / "inputs")
    last = result.latents[-1]
    clamped = (result.decoded.abs() > 1).float().mean().item()
    print(f"{name:32} steps {len(result.latents):2}  latents std {last.std():7.3f}  clamped {clamped:5.1%}")
    return store.save_run(FIXTURES / "cases", name, result, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--skip-models", action="store_true")
    parser.add_argument("--skip-units", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    (FIXTURES / "cases").mkdir(parents=True, exist_ok=True)
    if not options.skip_models:
        for spec in models.MODELS:
            models.build(spec, FIXTURES / "models" / spec.name)
        pictures.write_inputs(FIXTURES / "inputs")
    if not options.skip_units:
        units.write_all(FIXTURES / "units", FIXTURES / "models", provenance("units.py"))
    index = FIXTURES / "cases.json"
    kept = json.loads(index.read_text())["cases"] if options.only else []
    rows = {row["name"]: row for row in kept}
    for name, settings in cases.CASES.items():
        if not options.only or name in options.only:
            rows[name] = write_case(name, settings)
    table = {"provenance": provenance("make_fixtures.py"), "cases": [rows[name] for name in cases.CASES]}
    index.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
