//go:build !windows

package worker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// The helper's ends of the pipes. They are not standard input and output: what a
// module prints must not become an answer.
const (
	fdOrders  = 3
	fdAnswers = 4
)

// Pipes gives Main its files in a process that the agent started as a helper, and
// an error in one that a person started.
func Pipes() (in, out *os.File, err error) {
	for _, fd := range []int{fdOrders, fdAnswers} {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
			return nil, nil, errors.New("worker: this command is started by the agent, not by hand")
		}
		// What a module starts does not inherit them.
		unix.CloseOnExec(fd)
	}
	return os.NewFile(fdOrders, "orders"), os.NewFile(fdAnswers, "answers"), nil
}

// startProcess starts cmd with two pipes and gives the agent's ends of them.
func startProcess(cmd *exec.Cmd) (orders, answers *os.File, err error) {
	theirIn, orders, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("worker: %w", err)
	}
	answers, theirOut, err := os.Pipe()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("worker: %w", err), theirIn.Close(), orders.Close())
	}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	err = cmd.Start()
	// Their ends are theirs alone: only then is the end of the helper the end of
	// its answers.
	_, _ = theirIn.Close(), theirOut.Close()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("worker: %w", err), orders.Close(), answers.Close())
	}
	return orders, answers, nil
}
