"""Run by test_contract.py in a process of its own: the folder's generated modules are all that it has of the models.

For each NAME.py: loads NAME.keras, trains it one step more, loads the weights alone into the same network made anew,
and writes what it found into found.json.
"""

import importlib
import json
import sys
from pathlib import Path

import keras
import numpy as np


def main(folder: Path) -> None:
    sys.path.insert(0, str(folder))
    found = {}
    for module in sorted(folder.glob("*.py")):
        importlib.import_module(module.stem)
        model = keras.models.load_model(folder / f"{module.stem}.keras")
        made_anew = type(model).from_config(model.get_config())
        made_anew.load_weights(folder / f"{module.stem}.weights.h5")
        data = np.load(folder / f"{module.stem}.npz")
        x, y = data["x"], data["y"]
        loss = model.train_on_batch(x, y) if data["trained"] else model.loss(y, model(x))
        found[module.stem] = {
            "loss": float(loss),
            "after": [weight.numpy().tolist() for weight in model.weights],
            "loaded": [weight.numpy().tolist() for weight in made_anew.weights],
        }
    found["modules"] = [name for name in ("odec.compiler", "odec.syntax", "sympy", "lark") if name in sys.modules]
    (folder / "found.json").write_text(json.dumps(found))


main(Path(sys.argv[1]))
