"""What a loader needs is checked before it starts, and named with the command that installs it."""

from dataclasses import replace

import pytest

from feedbench.loaders import LOADERS, BatchSpec, LoaderError, check_package, open_loader, scan
from feedbench.loaders.guests.package import Package, check_installed, install_command

ABSENT = Package("torch", ("numpy", "no_such_package"))


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setitem(LOADERS, "torch", replace(LOADERS["torch"], package=ABSENT))


def test_only_what_cannot_be_imported_is_missing():
    names = ("numpy", "no_such_package", "no_such_package.inner", "os.path", "json.no_such_module")
    missing = ("no_such_package", "no_such_package.inner", "json.no_such_module")
    assert Package("any", names).missing() == missing


def test_a_folder_of_the_same_name_is_not_the_package(tmp_path, monkeypatch):
    (tmp_path / "no_such_package").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert Package("any", ("no_such_package",)).missing() == ("no_such_package",)


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (ABSENT, "package no_such_package, which is not installed: pip install 'feedbench[torch]'"),
        (
            Package("ffcv", ("no_a", "no_b"), "libopencv-dev pkg-config"),
            "packages no_a and no_b, which are not installed: apt-get install libopencv-dev "
            "pkg-config && pip install 'feedbench[ffcv]'",
        ),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(package, said):
    with pytest.raises(LoaderError) as raised:
        check_installed("any", package)
    assert str(raised.value) == f"any: needs the {said}"


def test_one_command_installs_several():
    packages = [Package("spdl", (), "ffmpeg"), Package("torch", ()), Package("torch", ())]
    assert install_command(packages) == (
        "apt-get install ffmpeg && pip install 'feedbench[spdl,torch]'"
    )


def test_a_loader_without_its_package_is_not_opened(without_torch, splits_folder):
    with pytest.raises(LoaderError, match=r"^torch: needs the package no_such_package, which is"):
        open_loader("torch", scan(splits_folder), BatchSpec())
    with pytest.raises(LoaderError, match=r"^torch: needs"):
        check_package("torch")
    check_package("tf_data")


def test_guests_take_part_in_the_suite_of_peers_alone():
    guests = [one for one in LOADERS.values() if one.is_guest]
    assert guests
    assert all(one.suites.keys() == {"peers"} for one in guests)
    assert all(one.package.extra and one.package.modules for one in guests)
