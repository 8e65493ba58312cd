# Written by scripts/generate.py: the names that deepwright/__init__.py looks up when they are used.

from deepwright.api import Model as Model
from deepwright.api import load as load
from deepwright.api import train as train
from deepwright.encoders.cnn import CNN as CNN
from deepwright.encoders.ft_transformer import FTTransformer as FTTransformer
from deepwright.encoders.mlp import MLP as MLP
from deepwright.encoders.resnet import ResNet as ResNet
from deepwright.encoders.tabm import TabM as TabM
from deepwright.errors import BundleError as BundleError
from deepwright.errors import DataError as DataError
from deepwright.errors import DeepwrightError as DeepwrightError
from deepwright.errors import ExportError as ExportError
from deepwright.errors import MissingExtra as MissingExtra
from deepwright.errors import Problem as Problem
from deepwright.errors import RecipeError as RecipeError
from deepwright.errors import TrainingError as TrainingError
from deepwright.errors import UsageError as UsageError
from deepwright.features.binary import Binary as Binary
from deepwright.features.category import Category as Category
from deepwright.features.date import Date as Date
from deepwright.features.number import Number as Number
from deepwright.features.ordinal import Ordinal as Ordinal
from deepwright.features.tags import Tags as Tags
from deepwright.fusions.attention import Attention as Attention
from deepwright.fusions.concat import Concat as Concat
from deepwright.layers.activation import Activation as Activation
from deepwright.layers.avgpool2d import AvgPool2d as AvgPool2d
from deepwright.layers.batchnorm import BatchNorm as BatchNorm
from deepwright.layers.conv2d import Conv2d as Conv2d
from deepwright.layers.dense import Dense as Dense
from deepwright.layers.dropout import Dropout as Dropout
from deepwright.layers.flatten import Flatten as Flatten
from deepwright.layers.global_pool import GlobalPool as GlobalPool
from deepwright.layers.layernorm import LayerNorm as LayerNorm
from deepwright.layers.maxpool2d import MaxPool2d as MaxPool2d
from deepwright.recipe import Recipe as Recipe
from deepwright.steps.inspect import inspect as inspect
from deepwright.table import Table as Table

__version__: str
_PLACES: dict[str, str]
_FAMILIES: dict[str, str]

def _part_names() -> dict[str, tuple[str, str]]: ...

__all__ = [
    "Activation",
    "Attention",
    "AvgPool2d",
    "BatchNorm",
    "Binary",
    "BundleError",
    "CNN",
    "Category",
    "Concat",
    "Conv2d",
    "DataError",
    "Date",
    "DeepwrightError",
    "Dense",
    "Dropout",
    "ExportError",
    "FTTransformer",
    "Flatten",
    "GlobalPool",
    "LayerNorm",
    "MLP",
    "MaxPool2d",
    "MissingExtra",
    "Model",
    "Number",
    "Ordinal",
    "Problem",
    "Recipe",
    "RecipeError",
    "ResNet",
    "TabM",
    "Table",
    "Tags",
    "TrainingError",
    "UsageError",
    "inspect",
    "load",
    "train",
]
