"""Code that lists the images of a split in the order in which a scan lists them."""

from __future__ import annotations

from feedbench.loaders.code.request import CodeRequest
from feedbench.loaders.code.text import lines, plain, wrapped

_SPLITS = """# Names that the folder of a split may have.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}"""

_LITTER = '''def is_litter(name):
    """Return whether operating systems leave such a file or folder among others."""
    litter = {"__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini"}
    return name.startswith(".") or name.lower() in litter'''

_CLASSES = '''def class_names(folder):
    """Return the names of the folders of classes, without links to a folder above."""
    home = Path(folder).resolve()
    paths = [path for path in home.iterdir() if path.is_dir()]
    names = [path.name for path in paths if not home.is_relative_to(path.resolve())]
    return sorted(name for name in names if not is_litter(name))'''

_FILES = '''def is_photo(name):
    """Return whether a name is that of a photo, which may be a broken link."""
    return name.lower().endswith((".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"))


def is_listed(entry):
    """Return whether an entry is a file, or what a photo of its name has become."""
    if entry.is_file(follow_symlinks=False) or os.path.isfile(entry.path):
        return True
    return is_photo(entry.name) and not os.path.isdir(entry.path)


def files_below(folder):
    """Return the paths below a folder, its own files before those of its folders."""
    found, folders = [], []
    entries = os.scandir(folder) if os.path.isdir(folder) else []
    for entry in sorted(entries, key=lambda entry: os.fsencode(entry.name)):
        if is_litter(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            folders.append(entry.path)
        elif is_listed(entry):
            found.append(entry.path)
    for inner in folders:
        found += files_below(inner) or [inner] * is_photo(inner)
    return found'''

_SPLIT_FOLDER = '''def split_folder(data, split):
    """Return the folder of a split; None if there is none."""
    folders = [Path(data) / name for name in SPLITS[split]]
    folders = [folder for folder in folders if folder.is_dir()]
    if len(folders) > 1:
        raise ValueError(f"{data}: several folders of the {split} split; keep one")
    return folders[0] if folders else None'''

_HAS_SPLITS = '''def has_splits(data):
    """Return whether the folders of a source are of splits, not of classes."""
    known = {name for names in SPLITS.values() for name in names}
    found = set(class_names(data))
    return found <= known and split_folder(data, "train") is not None'''

_PART = '''def part_of_class(paths, label, split):
    """Return the files of a class in a split; always the same tenths are held out."""
    order = np.random.default_rng([0, label]).permutation(len(paths))
    tenth, spare = round(len(paths) * 0.1), len(paths) - 1
    validation = min(spare, tenth)
    held_out = validation + min(spare - validation, tenth)
    rows = {
        "validation": order[:validation],
        "test": order[validation:held_out],
        "train": order[held_out:],
    }
    return [paths[row] for row in sorted(rows[split])]'''

_FROM_SPLITS = """    folder = split_folder(data, split)
    if folder is None:
        raise FileNotFoundError(f"{data}: no folder of the {split} split")
    for label, name in enumerate(class_names(split_folder(data, "train"))):
        of_class = files_below(folder / name)"""

_FROM_CLASSES = """    for label, name in enumerate(class_names(data)):
        of_class = part_of_class(files_below(Path(data) / name), label, split)"""

_FROM_EITHER = """    is_divided = has_splits(data)
    folder = split_folder(data, split) if is_divided else None
    if is_divided and folder is None:
        raise FileNotFoundError(f"{data}: no folder of the {split} split")
    names = class_names(split_folder(data, "train") if is_divided else data)
    for label, name in enumerate(names):
        if is_divided:
            of_class = files_below(folder / name)
        else:
            of_class = part_of_class(files_below(Path(data) / name), label, split)"""

_FROM_TABLE = """    with open(data, newline="", encoding="utf-8-sig") as file:
        table = list(csv.DictReader(file))
    for label, name in enumerate(sorted({row["label"] for row in table})):
        rows = [row for row in table if row["label"] == name]
        if "split" in table[0]:
            rows = [row for row in rows if row["split"] in SPLITS[split]]
        names = sorted(row["path"] for row in rows)
        of_class = [os.path.join(os.path.dirname(data), name) for name in names]
        if "split" not in table[0]:
            of_class = part_of_class(of_class, label, split)"""


_LEFT_OUT = """        of_class = [
            path for path in of_class if os.path.relpath(path, data) not in LEFT_OUT
        ]"""

_LEFT_OUT_OF_TABLE = """        folder = os.path.dirname(data)
        left_out = {os.path.join(folder, name) for name in LEFT_OUT}
        of_class = [path for path in of_class if path not in left_out]"""


def listing_constants(request: CodeRequest) -> str:
    """The constants that the listing needs."""
    names = [plain(name) for name in request.left_out]
    return lines(
        request.layout != "folder" and _SPLITS,
        bool(names) and "# Files that could not be read, or that a blacklist leaves out.",
        bool(names) and wrapped("LEFT_OUT = {", names, "}"),
    )


def listing_functions(request: CodeRequest) -> list[str]:
    """`list_images(data, split)`, which returns paths and labels, and what it calls."""
    body, functions = {
        "splits": (_FROM_SPLITS, [_SPLIT_FOLDER, _CLASSES, _FILES, _LITTER]),
        "folder": (_FROM_CLASSES, [_PART, _CLASSES, _FILES, _LITTER]),
        "csv": (_FROM_TABLE, [_PART]),
        None: (
            _FROM_EITHER,
            [_HAS_SPLITS, _SPLIT_FOLDER, _PART, _CLASSES, _FILES, _LITTER],
        ),
    }[request.layout]
    left_out = _LEFT_OUT_OF_TABLE if request.layout == "csv" else _LEFT_OUT
    first = lines(
        "def list_images(data, split):",
        '    """Return the paths and labels of a split, sorted by class and path."""',
        "    paths, labels = [], []",
        body,
        bool(request.left_out) and left_out,
        "        paths += of_class",
        "        labels += [label] * len(of_class)",
        "    if not paths:",
        '        raise FileNotFoundError(f"{data}: no images of the {split} split")',
        "    return paths, np.array(labels, np.int32)",
    )
    return [first, *functions]
