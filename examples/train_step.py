"""A model with its own `train_step`: it learns to answer the same for an image and its mirror."""

import keras
import tensorflow as tf

from model import features


class Mirrored(keras.Model):
    """Adds to the loss how far the two answers are apart."""

    def train_step(self, data):
        """Train on images and labels; return the running metrics."""
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            answer = self(images, training=True)
            mirrored = self(images[:, :, ::-1], training=True)
            loss = self.compute_loss(y=labels, y_pred=answer)
            loss += tf.reduce_mean(tf.square(answer - mirrored))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(labels, answer)
        return {metric.name: metric.result() for metric in self.metrics}


def build(image_size, classes):
    """Return the compiled model: pixels of 0 to 255 in, probabilities out."""
    images = keras.Input((image_size, image_size, 3))
    answer = keras.layers.Dense(classes, activation="softmax")(features(images))
    model = Mirrored(images, answer)
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
