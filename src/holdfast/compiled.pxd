# All compiled modules in one shared object, and how Python finds them there. Nothing to cimport.
