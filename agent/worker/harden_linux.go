package worker

import "golang.org/x/sys/unix"

// harden keeps a PIN out of core files (RLIMIT_CORE) and away from debuggers and
// /proc/PID/mem of the same user (PR_SET_DUMPABLE), before any module is loaded.
// Where the system refuses, work goes on: a refusal takes nothing away.
func harden() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}
