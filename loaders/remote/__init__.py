"""Objects in S3 and Google Cloud Storage as a source: listing, reading ahead, and a local cache."""
