"""Loaders of other libraries, to be measured beside those of TensorFlow, Keras and Feedbench.

One file each. Each is written as its library's own documentation recommends, and imports that
library only when it is opened.
"""
