"""The course of events: what happens when, and the callbacks of this instant.

What this is: the heart of `loop.SimLoop`: a heap of future events, and a list of calls
that are ready. What it is not: asyncio's interface besides time and callbacks (`loop`).

How to read it: `run_events`. Two kinds of things happen: *events*, entries of the heap, of
the world itself, and *calls*, callbacks of a process, which run in its context and only if
its life is not blocked. Each event has a number from one counter, so simultaneous events
keep the order in which they were made. An event is a `Happening` (a timer, bytes that
arrive) or a callback with one argument. The collector does not see what the heap holds:
`forget` lets go of it.

Time creeps: a program that spins through `sleep(0)` would stop a world in which
code takes no time. After `PASSES_PER_INSTANT` rounds in one instant each further
round takes `CREEP_SECONDS`.
"""

from cpython.contextvars cimport PyContext_CopyCurrent, PyContext_Enter, PyContext_Exit
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject, PyObject_CallObject
from cpython.ref cimport Py_DECREF, Py_XDECREF, Py_XINCREF
from holdfast.sim.clock cimport Moment
from holdfast.sim.life cimport Life

from holdfast.sim.life import LIFE

cdef enum:
    PASSES_PER_INSTANT = 100
    SWEPT_LEAST = 256       # cancelled timers are thrown out when they are more, and half of the heap

cdef double CREEP_SECONDS = 1e-5
cdef double ROUNDING_SECONDS = 1e-9     # added to timers on drifting clocks: never before the time named


class NothingLeft(RuntimeError):
    """No event will ever happen again, and what was waited for has not: a deadlock."""


cdef class Happening:

    cdef int happen(self) except -1:
        raise NotImplementedError       # each kind of happening says what it does


cdef class Call(Happening):

    def cancel(self):
        """Do not call."""
        self.is_cancelled = True
        self.callback = self.args = None

    def cancelled(self):
        """Tell whether it was cancelled."""
        return self.is_cancelled


cdef class TimerCall(Call):

    def cancel(self):
        """Do not call."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self.callback = self.args = None
            if self.is_scheduled:
                self.course.cancelled += 1
                if self.course.cancelled > SWEPT_LEAST and self.course.cancelled * 2 > self.course.count:
                    self.course.sweep()

    def when(self):
        """Return the moment, in seconds of the process's own clock."""
        return self.due

    cdef int happen(self) except -1:
        self.is_scheduled = False
        if self.is_cancelled:
            self.course.cancelled -= 1
        else:
            self.course.ready.append(self)
        return 0


cdef class Course(Moment):
    """Events and calls."""

    def __cinit__(self, *_, **__):
        self.ready = []
        self.spare = []

    def __dealloc__(self):
        self.drop_events()
        PyMem_Free(self.heap)

    # ---- events of the world ----

    cpdef push(self, double when, callback, argument):
        """Let `callback(argument)` happen at virtual time `when`, on nobody's behalf."""
        self.add(when, NULL, <PyObject*>callback, <PyObject*>argument)

    cdef int let(self, double when, Happening happening) except -1:
        """Let something happen at virtual time `when`."""
        return self.add(when, <PyObject*>happening, NULL, NULL)

    cpdef unsigned long long next_number(self):
        """Return a number that was not given before."""
        cdef unsigned long long number = self.numbers
        self.numbers = number + 1
        return number

    cdef int add(self, double when, PyObject* happening, PyObject* callback, PyObject* argument) except -1:
        cdef Event* heap = self.heap
        cdef Py_ssize_t at = self.count, parent
        if at == self.room:
            self.room = self.room * 2 + 64
            heap = <Event*>PyMem_Realloc(heap, self.room * sizeof(Event))
            if heap == NULL:
                raise MemoryError
            self.heap = heap
        self.count = at + 1
        while at:       # a new event is younger than all: of equal times it comes last
            parent = (at - 1) >> 1
            if heap[parent].when <= when:
                break
            heap[at] = heap[parent]
            at = parent
        heap[at].when, heap[at].number = when, self.numbers
        self.numbers += 1
        Py_XINCREF(happening)
        Py_XINCREF(callback)
        Py_XINCREF(argument)
        heap[at].happening, heap[at].callback, heap[at].argument = happening, callback, argument
        return 0

    cdef int take(self, Event* event) noexcept:     # moves of memory: nothing in it raises
        """Take the first event out of the heap, with its references."""
        event[0] = self.heap[0]
        self.count -= 1
        if self.count:
            sift(self.heap, self.count, 0, &self.heap[self.count])
        return 0

    cdef int sweep(self) noexcept:
        """Throw out the timers that were cancelled.

        Of such a timer only its context is left to let go of: nothing raises, and no program's code runs.
        """
        cdef Event* heap = self.heap
        cdef Event kept
        cdef Py_ssize_t i, n = 0
        for i in range(self.count):
            if heap[i].happening != NULL and type(<object>heap[i].happening) is TimerCall \
                    and (<TimerCall>heap[i].happening).is_cancelled:
                Py_DECREF(<object>heap[i].happening)
            else:
                heap[n] = heap[i]
                n += 1
        self.count = n
        self.cancelled = 0
        for i in range(n // 2 - 1, -1, -1):
            kept = heap[i]
            sift(heap, n, i, &kept)
        return 0

    def forget(self):
        """Let nothing happen any more."""
        self.drop_events()
        self.ready.clear()

    cdef int drop_events(self) noexcept:
        """Let go of all; called where nothing can be raised (`__dealloc__`), as letting go never does."""
        cdef Event event
        while self.count:
            self.count -= 1
            event = self.heap[self.count]
            Py_XDECREF(event.happening)
            Py_XDECREF(event.callback)
            Py_XDECREF(event.argument)
        return 0

    # ---- time and callbacks, as asyncio names them ----

    def local_now(self):
        """Return virtual time as the running code sees it (later than `now` inside a blocking call)."""
        return self.local()

    def time(self):
        """Return the boot clock of the running process's host, in seconds."""
        return (<Life>self.life).clock.boot_seconds(self.local())

    cdef Life owner_of(self, context):
        """Return for whom a callback with this context is made."""
        life = context.get(LIFE)
        return <Life>self.life if life is None else life

    def call_soon(self, callback, *args, context=None):
        """Run `callback` in this instant, for the life that `context` belongs to."""
        cdef Call call = Call.__new__(Call)
        if context is None:
            context = PyContext_CopyCurrent()
            call.life = <Life>self.life
            if call.life is self.world_life:
                context.run(LIFE.set, call.life)
        else:
            call.life = self.owner_of(context)
        call.callback, call.args, call.context = callback, args, context
        self.ready.append(call)
        return call

    call_soon_threadsafe = call_soon

    def call_later(self, double delay, callback, *args, context=None):
        """Run `callback` when the process's own clock has gone `delay` seconds further."""
        cdef TimerCall call = TimerCall.__new__(TimerCall)
        cdef Life life
        cdef double now
        if context is None:
            context = PyContext_CopyCurrent()
            life = <Life>self.life
            if life is self.world_life:
                context.run(LIFE.set, life)
        else:
            life = self.owner_of(context)
        now = life.stalled_until if life.stalled_until > self.now else self.now
        call.life, call.course = life, self
        call.callback, call.args, call.context = callback, args, context
        call.is_scheduled = True
        call.due = life.clock.boot_seconds(now) + delay
        self.let(now + delay / life.clock.rate + ROUNDING_SECONDS if delay > 0 else now, call)
        return call

    def call_at(self, double when, callback, *args, context=None):
        """Run `callback` when the process's own clock shows `when`."""
        cdef TimerCall call = self.call_later(when - self.time(), callback, *args, context=context)
        call.due = when
        return call

    # ---- running ----

    def run_events(self):
        """Let events happen until `stop`; raise NothingLeft when there are none."""
        cdef int passes = 0
        self.stopping = False
        while not self.stopping:
            if not self.ready:
                if not self.count:
                    raise NothingLeft("no event is left, and nothing waited for can happen any more")
                if self.heap[0].when > self.now:
                    self.now = self.heap[0].when
                    passes = 0
            passes += 1
            if passes > PASSES_PER_INSTANT:
                self.now += CREEP_SECONDS
            self.pass_events()
            if self.ready:
                self.pass_calls()

    def stop(self):
        """Stop after the present round."""
        self.stopping = True

    cdef int pass_events(self) except -1:
        """Let everything happen that is due."""
        cdef double now = self.now
        cdef Event event
        while self.count and self.heap[0].when <= now:
            self.take(&event)
            try:
                if event.happening != NULL:
                    (<Happening>event.happening).happen()
                else:
                    (<object>event.callback)(<object>event.argument)
            finally:
                Py_XDECREF(event.happening)
                Py_XDECREF(event.callback)
                Py_XDECREF(event.argument)
            self.events_run += 1
        return 0

    cdef int pass_calls(self) except -1:
        """Run the calls that are ready; what they make is for the next round."""
        cdef list calls = self.ready
        cdef Py_ssize_t done = 0
        cdef Call call
        self.ready = self.spare
        try:
            while done < len(calls):
                call = <Call>calls[done]
                done += 1
                if call.is_cancelled:
                    continue
                if call.life.blocked:
                    if not call.life.dead:
                        (call.life.late_timers if type(call) is TimerCall else call.life.parked).append(call)
                    continue
                self.life = call.life
                self.calls_run += 1
                try:
                    enter(call.context, call.callback, call.args)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    self._call_failed(call, call.life, error)
        finally:
            if done < len(calls):
                self.ready = calls[done:] + self.ready
            calls.clear()
            self.spare = calls
            self.life = self.world_life
        return 0


cdef object enter(context, callback, args):
    """Return what a callback returns that runs in a context."""
    PyContext_Enter(context)
    try:
        return PyObject_CallObject(callback, args)
    finally:
        PyContext_Exit(context)


cdef void sift(Event* heap, Py_ssize_t count, Py_ssize_t at, const Event* event) noexcept nogil:
    """Put an event at a place from which it may have to go down."""
    cdef Event put = event[0]
    cdef Py_ssize_t child
    while True:
        child = 2 * at + 1
        if child >= count:
            break
        if child + 1 < count and is_before(&heap[child + 1], &heap[child]):
            child += 1
        if is_before(&put, &heap[child]):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = put


cdef inline bint is_before(const Event* one, const Event* other) noexcept nogil:
    return one.when < other.when or (one.when == other.when and one.number < other.number)
