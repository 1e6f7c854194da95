"""Writes the XGBoost models of this folder and what the library predicts from them.

Made with Python 3.11, xgboost 3.2.0, numpy 2.4.6:  python make.py
Numbers are the shortest decimals of their f32, so that a test can compare bits.
"""

import json
import pathlib

import numpy as np
import xgboost as xgb

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(20)


def plain(table):
    """Nested lists with the shortest decimal of each f32, null for a missing value."""
    return [[None if np.isnan(v) else float(str(v)) for v in row] for row in np.atleast_2d(table)]


def save(name, value):
    (HERE / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


def train(params, x, y, rounds):
    params = {"nthread": 1, "seed": 3, "max_depth": 3, "eta": 0.3, **params}
    return xgb.train(params, xgb.DMatrix(x, y), rounds)


n, features = 240, 6
x = rng.normal(size=(n, features)).astype(np.float32)
y = np.stack([x[:, 0] * (x[:, 1] > 0), np.sin(2 * x[:, 2]) + x[:, 3], x[:, 4] ** 2], 1)
y = (y + 0.2 * rng.normal(size=y.shape)).astype(np.float32)
x[rng.random(x.shape) < 0.15] = np.nan
probe = x[:70].copy()
probe[:features] = np.nan
margins = rng.normal(size=(len(probe), 3)).astype(np.float32)

models = {
    "single": train({}, x, y[:, 1], 12),
    "multi": train({}, x, y, 6),
    "forest": train({"num_parallel_tree": 3, "subsample": 0.5}, x, y[:, 0], 3),
    "pruned": train({"tree_method": "exact", "gamma": 3.0, "max_depth": 5}, x, y[:, 2], 5),
    "quantile": train({"objective": "reg:quantileerror", "quantile_alpha": [0.05, 0.5, 0.95]}, x, y[:, 0], 3),
}
cases = {"features": plain(probe), "margins": plain(margins), "predictions": {}}
for name, model in models.items():
    model.save_model(HERE / f"{name}.json")
    cases["predictions"][name] = plain(model.predict(xgb.DMatrix(probe)).reshape(len(probe), -1))
models["multi"].save_model(HERE / "multi.ubj")
with_margin = models["multi"].predict(xgb.DMatrix(probe, base_margin=margins))
cases["predictions_with_margin"] = plain(with_margin)
pruned = json.loads((HERE / "pruned.json").read_text())["learner"]["gradient_booster"]["model"]["trees"]
assert any(tree["tree_param"]["num_deleted"] != "0" for tree in pruned), "no pruned node in pruned.json"

# As XGBoost 1.x wrote it: one base score, booleans, none of the later fields.
old = json.loads((HERE / "single.json").read_text())
param = old["learner"]["learner_model_param"]
param["base_score"] = "5E-1"
del param["num_target"], param["boost_from_average"]
forest = old["learner"]["gradient_booster"]["model"]
del forest["cats"], forest["iteration_indptr"]
for tree in forest["trees"]:
    tree["default_left"] = [bool(flag) for flag in tree["default_left"]]
old["version"] = [1, 6, 2]
save("old.json", old)
booster = xgb.Booster(model_file=HERE / "old.json")
cases["predictions"]["old"] = plain(booster.predict(xgb.DMatrix(probe)).reshape(len(probe), -1))
save("cases.json", cases)

# What the reader has to refuse by name.
train({"booster": "dart"}, x, y[:, 0], 1).save_model(HERE / "refused_dart.json")
train({"booster": "gblinear"}, x, y[:, 0], 1).save_model(HERE / "refused_gblinear.json")
train({"objective": "binary:logistic"}, x, y[:, 0] > 0, 1).save_model(HERE / "refused_logistic.json")
train({"multi_strategy": "multi_output_tree"}, x, y, 1).save_model(HERE / "refused_vector_leaves.json")
codes = np.abs(np.nan_to_num(x) * 2).astype(int).astype(np.float32)
matrix = xgb.DMatrix(codes, y[:, 2], feature_types=["c"] * features, enable_categorical=True)
xgb.train({"max_cat_to_onehot": 1, "max_depth": 2}, matrix, 1).save_model(HERE / "refused_categorical.json")

# A task for the trainer: 400 rows to learn from, 200 to test, and the library's error on those.
x = np.round(rng.normal(size=(600, 5)), 2).astype(np.float32)
y = np.stack([2 * (x[:, 0] > 0.2) * (x[:, 1] < 0.5) + x[:, 2], np.sin(2 * x[:, 3]) * x[:, 2]], 1)
y = np.round(y + 0.3 * rng.normal(size=y.shape), 3).astype(np.float32)
x[rng.random(x.shape) < 0.05] = np.nan
settings = {"tree_method": "hist", "max_depth": 4, "eta": 0.1, "lambda": 1.0}
model = train(settings, x[:400], y[:400], 60)
rmse = np.sqrt(((model.predict(xgb.DMatrix(x[400:])) - y[400:]).astype(float) ** 2).mean(0))
save("task.json", {"features": plain(x), "targets": plain(y), "rounds": 60, "rmse": rmse.tolist()})
print("xgboost", xgb.__version__, "rmse", rmse)
