"""Import every module of the installed package: what a wheel is tested with.

It is not the test suite, which needs the repository and real peers; it shows
that each compiled module loads on the platform that a wheel was built for.
Run it with the Python that has the wheel: `python tools/import_all.py`.
"""

import importlib
import pkgutil

import holdfast
from holdfast import compiled


def main() -> None:
    names = list(compiled.MODULES)
    names += [module.name for module in pkgutil.walk_packages(holdfast.__path__, "holdfast.")]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    print(f"imported {len(names)} modules of holdfast {holdfast.__version__}")


if __name__ == "__main__":
    main()
