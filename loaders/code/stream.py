"""Code that opens a loader of Feedbench: for what no other library can do."""

from __future__ import annotations

from feedbench.loaders.code.images import dtype_notes
from feedbench.loaders.code.request import Code, CodeRequest
from feedbench.loaders.code.rows import make_dataset_line
from feedbench.loaders.code.text import lines, module, plain, wrapped

_USAGE = """    with (
        make_dataset("photos/") as train,
        make_dataset("photos/", "validation", epochs=1) as validation,
    ):
        model.fit(
            train.as_keras(),
            validation_data=validation.as_keras(),
            epochs=10,
        )

`as_torch()` and `as_dataset()` give what PyTorch and tf.data take."""

_OPEN = '''    """Return a stream of batches, which unpack into images, labels and rows.

    Without `epochs` it has no end. Only training images are shuffled and augmented.
    """
    spec = SPEC.model_copy(update={"batch_size": batch_size, "seed": seed})
    if split != "train":
        spec = spec.for_evaluation()'''

_MAIN = """if __name__ == "__main__":  # python THIS_FILE DATA
    if len(sys.argv) != 2:
        sys.exit("usage: python THIS_FILE DATA")
    with make_dataset(sys.argv[1]) as batches:
        next(batches)  # takes longer: everything starts
        begin, images = time.perf_counter(), 0
        while time.perf_counter() - begin < 10:
            images += len(next(batches).labels)
        rate = images / (time.perf_counter() - begin)
    print(f"{rate:,.0f} images per second, with nothing to train")"""


def stream_code(request: CodeRequest) -> Code:
    """The module that opens the loader with these settings."""
    spec = request.spec
    values = spec.model_dump(mode="json", exclude_defaults=True)
    values = {"batch_size": spec.batch_size, "image_size": spec.image_size, **values}
    if spec.augment:
        values["augment"] = spec.augment.model_dump(mode="json", exclude_defaults=True)
    given = [literal(value, f"{name}=") for name, value in values.items()]
    settings = request.settings.model_dump(mode="json", exclude_defaults=True)
    named = [literal(value, f"{plain(name)}: ") for name, value in settings.items()]
    body = module(
        lines(
            f"LOADER = {plain(request.loader)}",
            wrapped("SETTINGS = {", named, "}"),
            wrapped("SPEC = BatchSpec(", given, ")"),
        ),
        lines(
            make_dataset_line(spec),
            _OPEN,
            "    # What the last `feedbench scan` found to be unreadable is left out.",
            "    images, _ = usable(scanned(data), [find_loader(LOADER).readable_by])",
            "    manifest = images.only(split)",
            "    return open_loader(LOADER, manifest, spec, SETTINGS, epochs=epochs)",
        ),
        _MAIN,
        imports="from feedbench.loaders import BatchSpec, find_loader, open_loader, usable\n"
        "from feedbench.loaders.audit import scanned",
    )
    return Code(lines(_USAGE, *dtype_notes(spec, request.settings.image_dtype)), body)


def literal(value: object, opening: str = "") -> str:
    """A constant as the formatter writes it inside a call, after the text that opens its line."""
    if isinstance(value, dict):
        items = [literal(inner, f"{plain(name)}: ") for name, inner in value.items()]
        return wrapped(opening + "{", items, "}", width=83)  # 4 of indentation, and a comma
    if isinstance(value, list | tuple):
        joined = ", ".join(map(literal, value))
        return opening + (f"({joined},)" if len(value) == 1 else f"({joined})")
    return opening + plain(value)
