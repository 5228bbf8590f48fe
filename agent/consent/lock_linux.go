package consent

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Lock keeps a PIN's memory out of the swap and out of core files, where the system
// allows: the pages that hold it, and what else is on them. They stay so; there are
// few.
func Lock(secret []byte) {
	if cap(secret) == 0 {
		return
	}
	page := uintptr(os.Getpagesize())
	at := uintptr(unsafe.Pointer(unsafe.SliceData(secret))) //nolint:gosec // whole pages, as mlock(2) and madvise(2) want them
	start, end := at&^(page-1), (at+uintptr(cap(secret))+page-1)&^(page-1)
	// A limit of the user may forbid the first; the second always works.
	_, _, _ = unix.Syscall(unix.SYS_MLOCK, start, end-start, 0)
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTDUMP)
}
