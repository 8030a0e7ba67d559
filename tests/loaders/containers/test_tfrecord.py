"""Which feature of a TFRecord is the label, and what it may be."""

import pytest
import tensorflow as tf

from feedbench.loaders import SourceError, scan

JPEG = b"\xff\xd8\xff" + bytes(30)


def records(path, *labels):
    """Records with these features beside the image, each a list of values."""
    with tf.io.TFRecordWriter(str(path / "x.tfrecord")) as writer:
        for label in labels:
            features = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[JPEG]))}
            for name, values in label.items():
                features[name] = feature(values)
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return path


def feature(values):
    if values and isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    if values and isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


@pytest.mark.parametrize("label", [[0, 1, 0], [b"p", b"q"], [0.5], [], [b""]])
def test_a_label_must_be_one_value(tmp_path, label):
    source = records(tmp_path, {"label": [1 if label == [0, 1, 0] else b"p"]}, {"label": label})
    with pytest.raises(SourceError, match=r"x\.tfrecord:1: its label must be one text or integer"):
        scan(source)


def test_a_label_that_is_no_utf8_is_named(tmp_path):
    source = records(tmp_path, {"label": [b"p"]}, {"label": [b"caf\xe9"]})
    with pytest.raises(SourceError, match=r"x\.tfrecord:1: its label is not UTF-8, got b'caf"):
        scan(source)


def test_the_name_of_a_data_set_of_tfds_is_no_split(tmp_path):
    version = tmp_path / "my_test_set" / "1.0.0"
    version.mkdir(parents=True)
    for split, count in (("train", 3), ("test", 2)):
        shard = records(version, *[{"label": [0]}] * count) / "x.tfrecord"
        shard.rename(version / f"my_test_set-{split}.tfrecord-00000-of-00001")
    for source in (tmp_path, version):
        assert [len(scan(source).only(split)) for split in ("train", "test")] == [3, 2]


def test_texts_that_are_left_empty_give_way_to_numbers(tmp_path):
    labels = [{"image/class/text": [b""], "image/class/label": [number]} for number in (3, 5)]
    assert scan(records(tmp_path, *labels)).classes == ("3", "5")


def test_a_negative_number_is_a_label(tmp_path):
    assert scan(records(tmp_path, {"label": [-1]}, {"label": [1]})).classes == ("-1", "1")


def test_a_file_that_zlib_compressed_is_called_so(tmp_path):
    plain = records(tmp_path, *[{"label": [0]}] * 9) / "x.tfrecord"
    with tf.io.TFRecordWriter(str(tmp_path / "z.tfrecord"), options="ZLIB") as writer:
        for record in tf.data.TFRecordDataset(str(plain)):
            writer.write(record.numpy())
    plain.unlink()
    with pytest.raises(SourceError, match=r"z\.tfrecord: compressed as a whole by zlib, .*; write"):
        scan(tmp_path)
