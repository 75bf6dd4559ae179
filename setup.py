"""Lists the packages: those under lgan/, and the top-level conf/ as ``lgan.conf``.

Everything else stands in pyproject.toml, which cannot express both at once.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["lgan", "lgan.*"]), "lgan.conf"],
    package_dir={"lgan": "lgan", "lgan.conf": "conf"},
)
