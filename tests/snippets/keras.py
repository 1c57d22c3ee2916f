import keras
import numpy as np

from regtui.integrations.keras import Recorder

x = np.random.default_rng(0).normal(size=(200, 8)).astype("float32")
y = (x.sum(axis=1) > 0).astype("int32")

model = keras.Sequential([keras.layers.Dense(32, "relu", kernel_regularizer="l2"), keras.layers.Dense(2, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=5, validation_split=0.2, callbacks=[Recorder(train_sample=(x[:100], y[:100]))])
