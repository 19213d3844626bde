package live

// BPF_ALIGNMENT is that of int32 on macOS.
const alignment = 4
