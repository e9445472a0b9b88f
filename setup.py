"""The compiled kernel of the index: used where a compiler is at hand, done without where not."""

from setuptools import Extension, setup

setup(ext_modules=[Extension("search.engine._kernel", ["search/engine/_kernel.c"], optional=True)])
