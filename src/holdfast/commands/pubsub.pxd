# Publish and subscribe. The index of the family is `register` in pubsub.pyx.
from holdfast.engine.state cimport Engine

cpdef int register(Engine e) except -1
