# LZF compression in the stream format that RDB files and quicklists hold.

# Bytes written, or 0 when `out` is too small (then the data stays as it is).
cdef size_t lzf_compress(const void* src, size_t n, void* out, size_t room) noexcept nogil
# Bytes written, or 0 when the input is damaged or `out` is too small.
cdef size_t lzf_decompress(const void* src, size_t n, void* out, size_t room) noexcept nogil
