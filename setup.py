"""Builds the Redis module `_switchboard.so`, and the README for package indexes. All else is in pyproject.toml.

The module is a plain shared object that Redis loads by path, not a Python extension. So it is compiled with flags of
its own: those of Debian's Python contain linker options that other compilers refuse. And one wheel serves every
Python version.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

COMPILER = shlex.split(os.environ.get("CC", "")) or [name for name in ("cc", "gcc", "clang") if shutil.which(name)][:1]
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden"]
BUNDLED = ("gears", "models", "notebooks")
SOURCES = Path("rededge_nb/edge/switchboard")
REPOSITORY = "https://github.com/rededge-nb/rededge_nb"

FAILED = """
rededge_nb needs a C compiler to build its Redis module, and building it failed:
    {reason}
Install one (Debian, Ubuntu: `apt install gcc libc6-dev`) and try again.
"""


def readme_for_an_index():
    """The README with absolute links and images: a package index shows it without the files that it links to."""
    text = Path("README.md").read_text(encoding="utf-8")
    text = re.sub(r"(!\[[^]]*\]\()(?![a-z]+:|#)", rf"\g<1>{REPOSITORY}/raw/HEAD/", text)
    return re.sub(r"((?<!!)\[[^]]*\]\()(?![a-z]+:|#)", rf"\g<1>{REPOSITORY}/blob/HEAD/", text)


class BuildSwitchboard(build_ext):
    """Compiles the module with the compiler alone: no Python headers, no Python library."""

    def get_ext_filename(self, fullname):
        """The file's name without the interpreter's version in it."""
        return str(Path(*fullname.split("."))) + ".so"

    def build_extension(self, ext):
        """Compile and link in one step, or end with a sentence that says what to install."""
        output = Path(self.get_ext_fullpath(ext.name))
        output.parent.mkdir(parents=True, exist_ok=True)
        command = [*(COMPILER or [sys.executable, "-m", "ziglang", "cc"]), *FLAGS, *ext.sources, "-o", str(output)]
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(FAILED.format(reason=error)) from error


class BundleFolders(build_py):
    """Puts folders of the checkout into the wheel, where rededge_nb/assets.py finds them."""

    def run(self):
        """Copy the folders beside the modules; an editable install uses those of the checkout."""
        super().run()
        if not self.editable_mode:
            for name in BUNDLED:
                ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
                target = Path(self.build_lib, "rededge_nb", "bundled", name)
                shutil.copytree(name, target, ignore=ignored, dirs_exist_ok=True)


class AnyPythonWheel(bdist_wheel):
    """Marks the wheel as one for every Python 3 on this platform."""

    def get_tag(self):
        """Python, ABI and platform tags."""
        return "py3", "none", super().get_tag()[2]


setup(
    long_description=readme_for_an_index(),
    long_description_content_type="text/markdown",
    cmdclass={"build_ext": BuildSwitchboard, "build_py": BundleFolders, "bdist_wheel": AnyPythonWheel},
    # without a compiler, pip installs one from PyPI for the build
    setup_requires=[] if COMPILER else ["ziglang"],
    ext_modules=[
        Extension(
            "rededge_nb.edge.switchboard._switchboard",
            sources=[str(SOURCES / "switchboard.c")],
            depends=[str(header) for header in sorted(SOURCES.glob("*.h"))],
        )
    ],
)
