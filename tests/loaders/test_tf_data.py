"""What tf_data tells tf.data."""

from feedbench.loaders import BatchSpec, Order, Request, scan
from feedbench.loaders.tf_data import TfData, dataset_of


def test_an_operation_is_not_split_among_threads(class_folder):
    manifest = scan(class_folder)
    request = Request(manifest, BatchSpec(batch_size=4, image_size=16), Order(len(manifest), 4))
    with dataset_of(request, TfData()) as dataset:
        assert dataset.options().threading.max_intra_op_parallelism == 1
