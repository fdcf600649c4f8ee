"""Builds the edge module: a plain shared object that Redis loads by path, not a Python extension.

Everything else about the package stands in pyproject.toml.
"""

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NO_COMPILER = """
rededge_nb needs a C compiler to build its Redis module, and building it failed:
    {reason}
Install one (Debian, Ubuntu: `apt install gcc libc6-dev`), or let a PyPI wheel be one:
    pip install ziglang && CC="python -m ziglang cc" pip install .
"""


class BuildSwitchboard(build_ext):
    """Builds the module with the compiler alone: no Python headers, no Python library."""

    def build_extension(self, ext):
        """Compile and link, or end with a sentence that says what to install."""
        self.compiler.include_dirs = []
        try:
            super().build_extension(ext)
        except Exception as error:
            raise SystemExit(NO_COMPILER.format(reason=error)) from error


setup(
    cmdclass={"build_ext": BuildSwitchboard},
    ext_modules=[
        Extension(
            "rededge_nb.edge._switchboard",
            sources=["rededge_nb/edge/switchboard.c"],
            depends=["rededge_nb/edge/basics.h", "rededge_nb/edge/resp_reply.h"],
            extra_compile_args=["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden"],
        )
    ],
)
