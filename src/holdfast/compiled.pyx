"""All compiled modules in one shared object, and how Python finds them there.

What it is: Python looks for a compiled module in a shared object of its own. Ours stand
together in the one that holds this module (`setup.py` says why, and links them), so they are
found by an entry of `sys.meta_path`: it takes the function that begins a module from a table,
where Python would look it up in a file. What it is not: anything that a module could notice.
Each has its name, its place in its package and its state, as if it stood alone.

How to read it: `holdfast/__init__.py` calls `install`. `import` then asks `find_spec` first
(PEP 451), and has the module made in two steps (PEP 489), `create_module` and `exec_module`.
"""

import sys
from importlib.machinery import ModuleSpec

from cpython.ref cimport PyObject, PyTypeObject

cdef extern from *:
    """
    /* Written by setup.py; a name of NULL ends it. */
    typedef struct { const char *name; PyObject *(*begin)(void); } hf_module;
    extern const hf_module holdfast_modules[];
    """
    ctypedef struct Module "const hf_module":
        const char* name
        PyObject* (*begin)() except NULL
    const Module* holdfast_modules

cdef extern from "Python.h":
    ctypedef struct PyModuleDef:
        pass
    PyTypeObject PyModuleDef_Type
    bint PyObject_TypeCheck(PyObject* o, PyTypeObject* type)
    object PyModule_FromDefAndSpec(PyModuleDef* definition, object spec)
    PyModuleDef* PyModule_GetDef(object module) except NULL
    int PyModule_ExecDef(object module, PyModuleDef* definition) except -1


cdef dict places():
    """Return the row in the table for each name."""
    cdef int row = 0
    cdef dict found = {}
    while holdfast_modules[row].name != NULL:
        found[holdfast_modules[row].name.decode()] = row
        row += 1
    return found


cdef dict rows = places()
MODULES = tuple(rows)


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name not in rows:
            return None
        spec = ModuleSpec(name, self, origin=__file__)
        spec.has_location = True
        return spec

    def create_module(self, spec):
        cdef int row = rows[spec.name]
        cdef PyObject* definition = holdfast_modules[row].begin()       # static: not ours to release
        if not PyObject_TypeCheck(definition, &PyModuleDef_Type):
            raise ImportError(f"{spec.name} does not begin in two steps (PEP 489)", name=spec.name)
        return PyModule_FromDefAndSpec(<PyModuleDef*>definition, spec)

    def exec_module(self, module):
        PyModule_ExecDef(module, PyModule_GetDef(module))


def install():
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
