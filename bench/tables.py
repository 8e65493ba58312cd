"""Default recipe against scikit-learn's HistGradientBoosting defaults, on the same rows.

    python bench/tables.py DATA_DIRECTORY [NAME ...] [--set KEY=VALUE ...] [--out FILE.json]

80 % of the rows (scikit-learn's train_test_split, random_state=0) are given to both; adult has its official test file. The figure
is 1 - ROC AUC for classes and RMSE for numbers: lower is better, and the ratio is ours to theirs.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import arguments, write
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score, root_mean_squared_error
from sklearn.model_selection import train_test_split

import deepwright as dw
from deepwright.families import Source
from deepwright.table import Table, tidy

TASKS = {
    "adult": ("adult/adult.data.csv.gz", "income", []),
    "bank_marketing": ("bank_marketing/bank-full.csv.gz", "y", []),
    "telco_churn": ("telco_churn/Telco-Customer-Churn.csv", "Churn", ["customerID"]),
    "california_housing": ("california_housing/housing.csv", "median_house_value", []),
    "diamonds": ("diamonds/diamonds.csv.gz", "price", []),
    # casual and registered add up to the target
    "bike_sharing": ("bike_sharing/hour.csv.gz", "cnt", ["casual", "registered"]),
}


def tables(root: Path, name: str) -> tuple[Table, Table, str]:
    path, target, drop = TASKS[name]
    table = tidy(Source.parse(str(root / path)).read())
    table = table.with_frame(table.frame.drop(drop))
    if name == "adult":
        import polars as pl

        test = tidy(Source.parse(str(root / "adult/adult.test.csv.gz")).read())
        return table, test.with_frame(test.frame.with_columns(pl.col("income").str.strip_chars("."))), target
    train, test = train_test_split(np.arange(len(table)), test_size=0.2, random_state=0)
    return table.with_frame(table.frame[train]), table.with_frame(table.frame[test]), target


def theirs(train: Table, test: Table, target: str) -> dict[str, float]:
    frames = [pd.DataFrame(t.frame.to_dict(as_series=False)) for t in (train, test)]
    for column in frames[0].columns:
        numeric = [pd.to_numeric(f[column], errors="coerce") for f in frames]
        if numeric[0].notna().sum() >= frames[0][column].notna().sum():
            for frame, values in zip(frames, numeric, strict=True):
                frame[column] = values
        elif column != target:
            dates = [pd.to_datetime(f[column], errors="coerce", format="%Y-%m-%d") for f in frames]
            for frame, values in zip(frames, dates, strict=True):
                # A date becomes its day number; anything else is a category.
                frame[column] = values.map(lambda d: d.toordinal()) if dates[0].notna().all() else frame[column]
            if not dates[0].notna().all():
                kinds = pd.CategoricalDtype(sorted(frames[0][column].dropna().unique()))
                for frame in frames:
                    frame[column] = frame[column].astype(kinds)
    x, y = frames[0].drop(columns=target), frames[0][target]
    began = time.perf_counter()
    if y.dtype == object or str(y.dtype).startswith("str"):
        model = HistGradientBoostingClassifier(random_state=0).fit(x, y)
        p = model.predict_proba(frames[1].drop(columns=target))[:, 1]
        truth = (frames[1][target] == model.classes_[1]).to_numpy()
        return {
            "figure": 1 - roc_auc_score(truth, p),
            "accuracy": float(((p > 0.5) == truth).mean()),
            "seconds": time.perf_counter() - began,
        }
    model = HistGradientBoostingRegressor(random_state=0).fit(x, y)
    p = model.predict(frames[1].drop(columns=target))
    return {"figure": root_mean_squared_error(frames[1][target], p), "seconds": time.perf_counter() - began}


def ours(train: Table, test: Table, target: str, settings: list[str]) -> dict[str, float]:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model = dw.train(train, target=target, out=Path(folder) / "model", settings=settings)
        seconds = time.perf_counter() - began
        measures = model.evaluate(test).as_json()["metrics"][target]
    value = {name: measure["value"] for name, measure in measures.items()}
    figure = 1 - value["roc_auc"] if "roc_auc" in value else value["rmse"]
    return {"figure": figure, "seconds": seconds} | ({"accuracy": value["accuracy"]} if "accuracy" in value else {})


def main() -> None:
    options = arguments(__doc__, TASKS).parse_args()
    results = {}
    for name in options.names or TASKS:
        train, test, target = tables(options.data, name)
        a, b = ours(train, test, target, options.settings), theirs(train, test, target)
        results[name] = {"deepwright": a, "hist_gradient_boosting": b, "ratio": a["figure"] / b["figure"]}
        more = f"   accuracy {a['accuracy']:.4f} vs {b['accuracy']:.4f}" if "accuracy" in a else ""
        print(
            f"{name:20} {a['figure']:.5g} vs {b['figure']:.5g}   ratio {results[name]['ratio']:.4f}{more}   {a['seconds']:.0f} s",
            flush=True,
        )
    write(options.out, results)


if __name__ == "__main__":
    main()
