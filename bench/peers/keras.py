"""Keras 3 on PyTorch: the network in Keras layers, compile and fit; texts are padded in front to one length, as in its examples."""

from __future__ import annotations

import math
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
from keras import layers
from tasks import EMBEDDING, STATE, WORDS, Arrays, Data, Task

from peers.contract import Clock, Trained, first_rows, to_probabilities


class Epochs(keras.callbacks.Callback):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def on_epoch_end(self, epoch, logs=None) -> None:
        self.clock.epoch()


def plain(inputs: Arrays):
    """Return one array, or a list of several."""
    if "tokens" in inputs:
        texts = inputs["tokens"]
        return keras.utils.pad_sequences([row[row != 0] for row in texts], texts.shape[1])
    return list(inputs.values()) if len(inputs) > 1 else next(iter(inputs.values()))


def perceptron(task: Task, data: Data) -> keras.Model:
    inputs = [keras.Input(array.shape[1:], dtype=array.dtype.name) for array in data.inputs.values()]
    x = inputs[0]
    if data.sizes:
        columns = [layers.Embedding(size, EMBEDDING)(inputs[1][:, i]) for i, size in enumerate(data.sizes)]
        x = layers.Concatenate()([x, *columns])
    for units in task.hidden:
        x = layers.Dense(units, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(1)(x))


def resnet18(data: Data) -> keras.Model:
    """ResNet-18 with a 3×3 stem, starting as the one of networks.py."""

    def conv(x, filters, kernel=3, strides=1, *, zero=False):
        he = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
        x = layers.ZeroPadding2D(kernel // 2)(x) if kernel > 1 else x
        x = layers.Conv2D(filters, kernel, strides, use_bias=False, kernel_initializer=he)(x)
        gamma = "zeros" if zero else "ones"
        return layers.BatchNormalization(axis=1, momentum=0.9, epsilon=1e-5, gamma_initializer=gamma)(x)

    inputs = keras.Input(data.inputs["image"].shape[1:])
    x = layers.ReLU()(conv(inputs, 64))
    for stage in range(4):
        for index in range(2):
            filters, strides = 64 << stage, 2 if stage and not index else 1
            shortcut = conv(x, filters, 1, strides) if stage and not index else x
            y = conv(layers.ReLU()(conv(x, filters, 3, strides)), filters, zero=True)
            x = layers.ReLU()(layers.Add()([y, shortcut]))
    return keras.Model(inputs, layers.Dense(data.classes)(layers.GlobalAveragePooling2D()(x)))


def lstm(data: Data) -> keras.Model:
    """Words, an LSTM and a logit; one bias of the gates, where PyTorch has two."""
    tokens = keras.Input(data.inputs["tokens"].shape[1:], dtype="int32")
    return keras.Model(tokens, layers.Dense(1)(layers.LSTM(STATE)(layers.Embedding(*data.sizes, WORDS)(tokens))))


def train(task: Task, data: Data, clock: Clock, epochs: int, seed: int) -> Trained:
    keras.utils.set_random_seed(seed)
    keras.config.set_image_data_format("channels_first")  # PyTorch's own, and the faster one there
    model = lstm(data) if "tokens" in data.inputs else perceptron(task, data) if task.hidden else resnet18(data)
    settings = {"learning_rate" if key == "lr" else key: value for key, value in task.optimizer.items() if key != "type"}
    optimizer = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[task.optimizer["type"]](**settings)
    binary, several = keras.losses.BinaryCrossentropy, keras.losses.SparseCategoricalCrossentropy
    model.compile(optimizer, (binary if data.classes == 2 else several)(from_logits=True))

    inputs = plain(data.inputs)

    clock.begin()
    model.fit(inputs, data.targets, batch_size=task.batch, epochs=epochs, verbose=0, callbacks=[Epochs(clock)])
    clock.end()

    def probabilities(inputs: Arrays):
        return to_probabilities(model.predict(plain(inputs), batch_size=1000, verbose=0))

    count = sum(math.prod(v.shape) for v in model.trainable_variables)
    return Trained(count, probabilities(first_rows(data.inputs)), probabilities(data.test_inputs), ("keras",))
