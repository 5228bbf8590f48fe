package stack

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what the program has resident, in bytes (VmRSS of proc(5)).
func (p *Process) Memory() (int, error) {
	kib, err := p.status("VmRSS")
	return kib << 10, err
}

// PeakMemory is the most it had resident until now, in bytes (VmHWM).
func (p *Process) PeakMemory() (int, error) {
	kib, err := p.status("VmHWM")
	return kib << 10, err
}

// Threads of the program.
func (p *Process) Threads() (int, error) { return p.status("Threads") }

// Descriptors that the program has open.
func (p *Process) Descriptors() (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid()))
	return len(list), err
}

func (p *Process) status(key string) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strconv.Atoi(strings.Fields(v)[0])
		}
	}
	return 0, fmt.Errorf("stack: no %s in /proc", key)
}
