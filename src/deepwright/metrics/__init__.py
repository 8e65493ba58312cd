"""How good predictions are: fast scores for training, and evaluations with intervals, baselines and pictures (floor 2).

Each metric is written once, over weighted rows: a score weighs every row once, the bootstrap weighs it as often as it is drawn.
"""

from deepwright.metrics.figures import CalibrationBin, ChannelRow, ClassRow, Confusion, Curve, Points, Residuals, Steps, Window
from deepwright.metrics.quality import Group, Spread
from deepwright.metrics.report import Measure, OutputReport, evaluate, naive
from deepwright.metrics.scores import METRICS, Metric, default_metric, higher_is_better, metric_names, score

__all__ = [
    "METRICS",
    "CalibrationBin",
    "ChannelRow",
    "ClassRow",
    "Confusion",
    "Curve",
    "Group",
    "Measure",
    "Metric",
    "OutputReport",
    "Points",
    "Residuals",
    "Spread",
    "Steps",
    "Window",
    "default_metric",
    "evaluate",
    "higher_is_better",
    "metric_names",
    "naive",
    "score",
]
