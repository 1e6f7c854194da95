"""Checks that XGBoost loads the JSON that the program writes, and predicts the same to the bit.

Tried with Python 3.11, xgboost 3.2.0, numpy 2.4.6:  python check.py
`written.json` and `fitted.json` are held equal to the program's output by its tests.
"""

import json
import pathlib

import numpy as np
import xgboost as xgb

HERE = pathlib.Path(__file__).parent


def read(name):
    return json.loads((HERE / name).read_text())


def table(rows):
    return np.array([[np.nan if v is None else v for v in row] for row in rows], np.float32)


def check(name, features, expected, margins=None):
    model = xgb.Booster(model_file=HERE / name)
    found = model.predict(xgb.DMatrix(features, base_margin=margins)).reshape(expected.shape)
    assert found.dtype == np.float32 and np.array_equal(found.view(np.uint32), expected.view(np.uint32)), name
    print(f"{name}: {found.size} predictions equal to the bit, {model.num_boosted_rounds()} rounds")


cases = read("cases.json")
features = table(cases["features"])
check("written.json", features, table(cases["predictions"]["multi"]))
check("written.json", features, table(cases["predictions_with_margin"]), table(cases["margins"]))
fitted = read("fitted_predictions.json")
check("fitted.json", table(read("task.json")["features"])[400:], table(fitted))
