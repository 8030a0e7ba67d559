"""Images inside shards: zip, tar, TFRecord, Arrow and Parquet files, listed as ranges of bytes."""
