//go:build dragonfly || freebsd || netbsd || openbsd

package live

import "unsafe"

// BPF_ALIGNMENT is that of long; OpenBSD's is int32.
const alignment = unsafe.Sizeof(uintptr(0))
