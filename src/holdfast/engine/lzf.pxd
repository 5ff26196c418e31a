# LZF compression in the stream format that RDB files and quicklists hold.

# Bytes written, or 0 when `out` is too small (then the data stays as it is: with room = n - 4
# or so only what gains is kept). 64 KiB of stack. Depends on the input alone.
cdef size_t lzf_compress(const void* src, size_t n, void* out, size_t room) noexcept nogil
# Bytes written, or 0 when the input is damaged or `out` is too small. Any bytes may come in.
cdef size_t lzf_decompress(const void* src, size_t n, void* out, size_t room) noexcept nogil
