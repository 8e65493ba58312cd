# Written by scripts/generate.py: the names that deepwright/__init__.py looks up when they are used.

from deepwright.api import Model as Model
from deepwright.api import find_batch as find_batch
from deepwright.api import find_lr as find_lr
from deepwright.api import load as load
from deepwright.api import train as train
from deepwright.augmentations.affine import Affine as Affine
from deepwright.augmentations.blur import Blur as Blur
from deepwright.augmentations.brightness import Brightness as Brightness
from deepwright.augmentations.color import Color as Color
from deepwright.augmentations.contrast import Contrast as Contrast
from deepwright.augmentations.crop import Crop as Crop
from deepwright.augmentations.erase import Erase as Erase
from deepwright.augmentations.flip import Flip as Flip
from deepwright.augmentations.gain import Gain as Gain
from deepwright.augmentations.hiss import Hiss as Hiss
from deepwright.augmentations.jitter import Jitter as Jitter
from deepwright.augmentations.magnitude import Magnitude as Magnitude
from deepwright.augmentations.noise import Noise as Noise
from deepwright.augmentations.shift import Shift as Shift
from deepwright.augmentations.slice import Slice as Slice
from deepwright.augmentations.speed import Speed as Speed
from deepwright.augmentations.time_warp import TimeWarp as TimeWarp
from deepwright.averages.ema import EMA as EMA
from deepwright.averages.lookahead import Lookahead as Lookahead
from deepwright.averages.swa import SWA as SWA
from deepwright.encoders.airbench import Airbench as Airbench
from deepwright.encoders.bag import Bag as Bag
from deepwright.encoders.bottleneck import Bottleneck as Bottleneck
from deepwright.encoders.cnn import CNN as CNN
from deepwright.encoders.crnn import CRNN as CRNN
from deepwright.encoders.custom import Custom as Custom
from deepwright.encoders.dlinear import DLinear as DLinear
from deepwright.encoders.ensemble import Ensemble as Ensemble
from deepwright.encoders.factorization_machine import FactorizationMachine as FactorizationMachine
from deepwright.encoders.from_bundle import FromBundle as FromBundle
from deepwright.encoders.ft_transformer import FTTransformer as FTTransformer
from deepwright.encoders.gru import GRU as GRU
from deepwright.encoders.inception_time import InceptionTime as InceptionTime
from deepwright.encoders.lstm import LSTM as LSTM
from deepwright.encoders.mlp import MLP as MLP
from deepwright.encoders.nlinear import NLinear as NLinear
from deepwright.encoders.patch_tst import PatchTST as PatchTST
from deepwright.encoders.pretrained import Pretrained as Pretrained
from deepwright.encoders.pretrained_text import PretrainedText as PretrainedText
from deepwright.encoders.resnet import ResNet as ResNet
from deepwright.encoders.rnn import RNN as RNN
from deepwright.encoders.rocket import Rocket as Rocket
from deepwright.encoders.sequential import Sequential as Sequential
from deepwright.encoders.sound_cnn import SoundCNN as SoundCNN
from deepwright.encoders.sparse_tsf import SparseTSF as SparseTSF
from deepwright.encoders.tabm import TabM as TabM
from deepwright.encoders.tcn import TCN as TCN
from deepwright.encoders.text_cnn import TextCNN as TextCNN
from deepwright.encoders.transformer import Transformer as Transformer
from deepwright.encoders.tree_lstm import TreeLSTM as TreeLSTM
from deepwright.encoders.two_towers import TwoTowers as TwoTowers
from deepwright.encoders.unet import UNet as UNet
from deepwright.errors import BundleError as BundleError
from deepwright.errors import DataError as DataError
from deepwright.errors import DeepwrightError as DeepwrightError
from deepwright.errors import ExportError as ExportError
from deepwright.errors import MissingExtra as MissingExtra
from deepwright.errors import Problem as Problem
from deepwright.errors import RecipeError as RecipeError
from deepwright.errors import TrainingError as TrainingError
from deepwright.errors import UsageError as UsageError
from deepwright.features.ahead import Ahead as Ahead
from deepwright.features.answer import Answer as Answer
from deepwright.features.binary import Binary as Binary
from deepwright.features.category import Category as Category
from deepwright.features.date import Date as Date
from deepwright.features.forecast import Forecast as Forecast
from deepwright.features.image import Image as Image
from deepwright.features.labels import Labels as Labels
from deepwright.features.mask import Mask as Mask
from deepwright.features.match import Match as Match
from deepwright.features.number import Number as Number
from deepwright.features.ordinal import Ordinal as Ordinal
from deepwright.features.series import Series as Series
from deepwright.features.sound import Sound as Sound
from deepwright.features.tags import Tags as Tags
from deepwright.features.text import Text as Text
from deepwright.features.window import Window as Window
from deepwright.fusions.attention import Attention as Attention
from deepwright.fusions.compare import Compare as Compare
from deepwright.fusions.concat import Concat as Concat
from deepwright.fusions.cross import Cross as Cross
from deepwright.heads.binary import Binary as BinaryHead
from deepwright.heads.ctc import CTC as CTC
from deepwright.heads.forecast import Forecast as ForecastHead
from deepwright.heads.lstm_decoder import LSTMDecoder as LSTMDecoder
from deepwright.heads.matching import Matching as Matching
from deepwright.heads.multiclass import Multiclass as Multiclass
from deepwright.heads.multilabel import Multilabel as Multilabel
from deepwright.heads.ordinal import Ordinal as OrdinalHead
from deepwright.heads.picture import Picture as Picture
from deepwright.heads.pointers import Pointers as Pointers
from deepwright.heads.regression import Regression as Regression
from deepwright.heads.segmentation import Segmentation as Segmentation
from deepwright.heads.tagging import Tagging as Tagging
from deepwright.heads.transformer_decoder import TransformerDecoder as TransformerDecoder
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
from deepwright.loggers.csv import CsvLogger as CsvLogger
from deepwright.loggers.mlflow import MLflow as MLflow
from deepwright.loggers.tensorboard import TensorBoard as TensorBoard
from deepwright.losses.binary_cross_entropy import BinaryCrossEntropy as BinaryCrossEntropy
from deepwright.losses.charbonnier import Charbonnier as Charbonnier
from deepwright.losses.cross_entropy import CrossEntropy as CrossEntropy
from deepwright.losses.dice import Dice as Dice
from deepwright.losses.focal import Focal as Focal
from deepwright.losses.huber import Huber as Huber
from deepwright.losses.kl import KL as KL
from deepwright.losses.mae import MAE as MAE
from deepwright.losses.mse import MSE as MSE
from deepwright.losses.pinball import Pinball as Pinball
from deepwright.losses.ssim import SSIM as SSIM
from deepwright.optimizers.adagrad import Adagrad as Adagrad
from deepwright.optimizers.adam import Adam as Adam
from deepwright.optimizers.adamw import AdamW as AdamW
from deepwright.optimizers.muon import Muon as Muon
from deepwright.optimizers.rmsprop import RMSprop as RMSprop
from deepwright.optimizers.sgd import SGD as SGD
from deepwright.recipe import Recipe as Recipe
from deepwright.schedules.constant import Constant as Constant
from deepwright.schedules.cosine import Cosine as Cosine
from deepwright.schedules.exponential import Exponential as Exponential
from deepwright.schedules.one_cycle import OneCycle as OneCycle
from deepwright.schedules.plateau import Plateau as Plateau
from deepwright.schedules.step import Step as Step
from deepwright.sources.arff import Arff as Arff
from deepwright.sources.conll import Conll as Conll
from deepwright.sources.csv import Csv as Csv
from deepwright.sources.excel import Excel as Excel
from deepwright.sources.idx import Idx as Idx
from deepwright.sources.images import Images as Images
from deepwright.sources.json import Json as Json
from deepwright.sources.ndjson import Ndjson as Ndjson
from deepwright.sources.pairs import Pairs as Pairs
from deepwright.sources.parquet import Parquet as Parquet
from deepwright.sources.plain import Plain as Plain
from deepwright.sources.sounds import Sounds as Sounds
from deepwright.sources.sql import Sql as Sql
from deepwright.sources.squad import Squad as Squad
from deepwright.sources.ts import Ts as Ts
from deepwright.steps.inspect import inspect as inspect
from deepwright.table import Table as Table

__version__: str
_PLACES: dict[str, str]
_FAMILIES: dict[str, str]

def _part_names() -> dict[str, tuple[str, str]]: ...

__all__ = [
    "Activation",
    "Adagrad",
    "Adam",
    "AdamW",
    "Affine",
    "Ahead",
    "Airbench",
    "Answer",
    "Arff",
    "Attention",
    "AvgPool2d",
    "Bag",
    "BatchNorm",
    "Binary",
    "BinaryCrossEntropy",
    "BinaryHead",
    "Blur",
    "Bottleneck",
    "Brightness",
    "BundleError",
    "CNN",
    "CRNN",
    "CTC",
    "Category",
    "Charbonnier",
    "Color",
    "Compare",
    "Concat",
    "Conll",
    "Constant",
    "Contrast",
    "Conv2d",
    "Cosine",
    "Crop",
    "Cross",
    "CrossEntropy",
    "Csv",
    "CsvLogger",
    "Custom",
    "DLinear",
    "DataError",
    "Date",
    "DeepwrightError",
    "Dense",
    "Dice",
    "Dropout",
    "EMA",
    "Ensemble",
    "Erase",
    "Excel",
    "Exponential",
    "ExportError",
    "FTTransformer",
    "FactorizationMachine",
    "Flatten",
    "Flip",
    "Focal",
    "Forecast",
    "ForecastHead",
    "FromBundle",
    "GRU",
    "Gain",
    "GlobalPool",
    "Hiss",
    "Huber",
    "Idx",
    "Image",
    "Images",
    "InceptionTime",
    "Jitter",
    "Json",
    "KL",
    "LSTM",
    "LSTMDecoder",
    "Labels",
    "LayerNorm",
    "Lookahead",
    "MAE",
    "MLP",
    "MLflow",
    "MSE",
    "Magnitude",
    "Mask",
    "Match",
    "Matching",
    "MaxPool2d",
    "MissingExtra",
    "Model",
    "Multiclass",
    "Multilabel",
    "Muon",
    "NLinear",
    "Ndjson",
    "Noise",
    "Number",
    "OneCycle",
    "Ordinal",
    "OrdinalHead",
    "Pairs",
    "Parquet",
    "PatchTST",
    "Picture",
    "Pinball",
    "Plain",
    "Plateau",
    "Pointers",
    "Pretrained",
    "PretrainedText",
    "Problem",
    "RMSprop",
    "RNN",
    "Recipe",
    "RecipeError",
    "Regression",
    "ResNet",
    "Rocket",
    "SGD",
    "SSIM",
    "SWA",
    "Segmentation",
    "Sequential",
    "Series",
    "Shift",
    "Slice",
    "Sound",
    "SoundCNN",
    "Sounds",
    "SparseTSF",
    "Speed",
    "Sql",
    "Squad",
    "Step",
    "TCN",
    "TabM",
    "Table",
    "Tagging",
    "Tags",
    "TensorBoard",
    "Text",
    "TextCNN",
    "TimeWarp",
    "TrainingError",
    "Transformer",
    "TransformerDecoder",
    "TreeLSTM",
    "Ts",
    "TwoTowers",
    "UNet",
    "UsageError",
    "Window",
    "find_batch",
    "find_lr",
    "inspect",
    "load",
    "train",
]
