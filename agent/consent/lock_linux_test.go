package consent_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/citel-pa/citel/agent/consent"
)

// The kernel says of the PIN's pages that they are locked and not dumped (proc(5),
// smaps, VmFlags lo and dd).
func TestLock(t *testing.T) {
	pin := make([]byte, 8)
	copy(pin, "12345678")
	consent.Lock(pin)
	at := uintptr(unsafe.Pointer(unsafe.SliceData(pin)))
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(smaps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			inside = from <= at && at < to
		}
		if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && inside {
			if !strings.Contains(flags, " lo") || !strings.Contains(flags, " dd") {
				t.Errorf("the PIN's pages: %s", flags)
			}
			return
		}
	}
	t.Error("the PIN's page was not found")
}
