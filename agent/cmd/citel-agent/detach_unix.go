//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// detach lets a program live on when the terminal that started it is closed.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
