package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Memory is what the program has resident, in bytes (VmRSS of proc(5)).
func (p *Process) Memory() (int, error) {
	kib, err := status(p.Pid(), "VmRSS")
	return kib << 10, err
}

// PeakMemory is the most it had resident until now, in bytes (VmHWM).
func (p *Process) PeakMemory() (int, error) { return peakOf(p.Pid()) }

// PeakMemoryOfAll is PeakMemory of whichever had the most, the program or one of its
// helpers that runs now. (The ru_maxrss of a program that has ended counts what its parent
// had before the exec, too.)
func (p *Process) PeakMemoryOfAll() (int, error) {
	peak, err := peakOf(p.Pid())
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.Pid()))
	for _, list := range lists {
		data, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, child := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(child); err == nil {
				if m, err := peakOf(pid); err == nil {
					peak = max(peak, m)
				}
			}
		}
	}
	return peak, err
}

func peakOf(pid int) (int, error) {
	kib, err := status(pid, "VmHWM")
	return kib << 10, err
}

// Threads of the program.
func (p *Process) Threads() (int, error) { return status(p.Pid(), "Threads") }

// Descriptors that the program has open.
func (p *Process) Descriptors() (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid()))
	return len(list), err
}

func status(pid int, key string) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
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

// clockTick is the unit of times in /proc: 1/100 s on Linux (proc(5), sysconf).
const clockTick = 10 * time.Millisecond

// CPU is the time that the program has used.
func (p *Process) CPU() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	const utime, stime = 11, 12 // fields 14 and 15, counted from the one after the name
	if len(fields) <= stime {
		return 0, fmt.Errorf("stack: /proc/%d/stat", p.Pid())
	}
	u, err1 := strconv.Atoi(fields[utime])
	s, err2 := strconv.Atoi(fields[stime])
	return time.Duration(u+s) * clockTick, errors.Join(err1, err2)
}
