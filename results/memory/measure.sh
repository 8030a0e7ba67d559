#!/bin/sh
# Peak memory of tf_data and keras_directory beside bare loops and the import of TensorFlow alone.
# measure.sh PHOTOS OUT: images in one folder per class; the file of figures to write. 2 minutes.
set -eu
here=$(dirname "$0")
: > "$2"
for round in 1 2 3; do
    for what in nothing tensorflow keras bare_tf_data tf_data bare_keras_directory keras_directory; do
        python "$here/peak.py" "$what" "$1" >> "$2"
    done
done
python "$here/peak.py" table "$2"
