// Command citel-start starts citel-agent.exe, which stands beside it, without a console
// window: what the session and citel: links start on Windows. It hands its arguments on
// and ends.
package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/windows"
)

func main() {
	exe, err := os.Executable()
	if err != nil {
		os.Exit(74)
	}
	cmd := exec.Command(filepath.Join(filepath.Dir(exe), "citel-agent.exe"), os.Args[1:]...) //nolint:gosec // beside us
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true, CreationFlags: windows.CREATE_NO_WINDOW | windows.CREATE_NEW_PROCESS_GROUP}
	if err := cmd.Start(); err != nil {
		os.Exit(69)
	}
}
