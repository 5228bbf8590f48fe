// Command citel-agent is the program on the citizen's desktop: it reads the card,
// asks the person, signs, and answers web pages over the localhost link. It wires
// packages together and does nothing by itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/citel-pa/citel/agent/nativehost"
	"github.com/citel-pa/citel/agent/worker"
	"github.com/citel-pa/citel/pkcs/message"
	"github.com/citel-pa/citel/pkcs/verify/command"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	// The helper is the same program; nothing else of it may run in there.
	if len(args) == 1 && args[0] == workerCommand {
		return helper()
	}
	if len(args) == 1 && args[0] == documentCommand {
		return worker.DocumentMain(os.Stdin, os.Stdout)
	}
	noCoreDumps()
	if nativehost.Called(args) { // a browser: its manifest names a program without arguments
		args = append([]string{nativeHostCommand}, args...)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return command.Done
	}
	var exit *command.ExitError
	if errors.As(err, &exit) {
		if exit.Err != nil {
			fmt.Fprintln(os.Stderr, "citel-agent:", exit.Err)
		}
		return exit.Code
	}
	fmt.Fprintln(os.Stderr, "citel-agent:", err)
	return command.Usage // cobra's own errors are about flags and arguments
}

// workerCommand and documentCommand are hidden: the agent starts itself with them.
const (
	workerCommand   = "__worker"
	documentCommand = "__document"
)

func helper() int {
	in, out, err := worker.Pipes()
	if err != nil {
		fmt.Fprintln(os.Stderr, "citel-agent:", err)
		return command.Usage
	}
	return worker.Main(context.Background(), in, out)
}

func language() message.Lang {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" && v != "C" && v != "C.UTF-8" && v != "POSIX" {
			return message.ParseLang(v)
		}
	}
	return message.Italian
}

func newRoot() *cobra.Command {
	lang := language()
	root := &cobra.Command{
		Use:           "citel-agent",
		Short:         message.Text(lang, "command.agent-short"),
		Long:          message.Text(lang, "command.agent-long"),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(lang), signCommand(lang), command.New(lang), certsCommand(lang), cardsCommand(lang), sitesCommand(lang), historyCommand(lang), pinCommand(lang), openCommand(lang), nativeCommand(lang), nativeHost(lang), doctorCommand(lang), versionCommand(lang))
	root.AddCommand(linkCommand(lang), updateCommand(lang), registerCommand(lang), cleanupCommand(lang), policyCommand(lang))
	root.AddCommand(testerCommands(lang)...)
	return root
}
