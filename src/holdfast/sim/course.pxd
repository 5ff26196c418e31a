# The course of events: callbacks, timers, and the heap of what happens when.

from cpython.object cimport PyObject
from holdfast.sim.clock cimport Moment
from holdfast.sim.life cimport Life

cdef struct Event:
    double when                     # virtual seconds
    unsigned long long number       # of equal times the smaller comes first
    PyObject* happening             # owned; NULL: `callback(argument)` is called
    PyObject* callback              # owned, or NULL
    PyObject* argument              # owned, or NULL

cdef class Happening:
    """What an event is that needs no callback."""
    cdef int happen(self) except -1

cdef class Call(Happening):
    """A callback of one life, as `asyncio.Handle` is one."""
    cdef readonly object callback
    cdef object args, context
    cdef Life life
    cdef bint is_cancelled

cdef class TimerCall(Call):
    """A callback of one life at a moment of its own clock, as `asyncio.TimerHandle` is one."""
    cdef Course course
    cdef double due                 # seconds of that clock
    cdef bint is_scheduled

cdef class Course(Moment):
    cdef Event* heap
    cdef Py_ssize_t count, room     # events
    cdef unsigned long long numbers
    cdef Py_ssize_t cancelled       # timers in the heap that will not fire
    cdef public list ready          # calls of this instant
    cdef list spare                 # an empty list
    cdef public Life world_life     # of whatever drives the world from outside: a test, a scenario
    cdef readonly unsigned long long events_run, calls_run
    cdef bint stopping
    cdef int add(self, double when, PyObject* happening, PyObject* callback, PyObject* argument) except -1
    cdef int let(self, double when, Happening happening) except -1
    cdef int take(self, Event* event) noexcept
    cdef int sweep(self) noexcept
    cdef int drop_events(self) noexcept
    cdef int pass_events(self) except -1
    cdef int pass_calls(self) except -1
    cdef Life owner_of(self, context)
    cpdef push(self, double when, callback, argument)
    cpdef unsigned long long next_number(self)
