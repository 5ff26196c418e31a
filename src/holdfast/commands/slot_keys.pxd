# The keys of one hash slot: doors for Python only (slot_keys.pyi).
from holdfast.engine.state cimport Engine
from holdfast.engine.table cimport Table

# The table of a slot; ValueError where there is none.
cdef Table* table_of_slot(Engine e, int slot) except NULL
