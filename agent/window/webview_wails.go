//go:build production && (gtk3 || windows)

package window

// The toolkit's other builds have developers' tools, and take pages from an address
// in the environment: this file exists with the tag production alone.

import (
	"io"
	"log/slog"
	"net/http"

	"github.com/wailsapp/wails/v3/pkg/application"
	"github.com/wailsapp/wails/v3/pkg/events"

	"github.com/citel-pa/citel/agent/consent/frame"
)

// Size of every window: review and PIN look like one.
const (
	width, height = 860, 820
)

// Run shows the window until it is answered, closed, or the agent is gone.
func Run(in io.Reader, out io.Writer) error {
	w, err := Open(in, out)
	if err != nil {
		return err
	}
	h, err := w.Handler()
	if err != nil {
		return err
	}
	app := application.New(application.Options{
		Name: "CiTel", Logger: slog.New(slog.DiscardHandler), DisableDefaultSignalHandler: true,
		Assets: application.AssetOptions{Handler: h, DisableLogging: true, Middleware: only(h)},
		Linux:  application.LinuxOptions{ProgramName: "citel-window"},
	})
	w.End = func() { app.Quit() }
	hand := w.View.Mode == frame.Hand
	win := app.Window.NewWithOptions(application.WebviewWindowOptions{
		// A question stays on top until it is answered; the agent's own pages do not.
		Title: "CiTel", Width: width, Height: height, AlwaysOnTop: !hand, URL: "/",
		InitialPosition: application.WindowCentered, DefaultContextMenuDisabled: true,
		BackgroundColour:    application.NewRGB(255, 255, 255),
		MinimiseButtonState: application.ButtonHidden,
		Linux:               application.LinuxWindow{WebviewGpuPolicy: application.WebviewGpuPolicyNever},
	})
	w.Raise = func() { application.InvokeAsync(func() { win.Show().Focus() }) }
	win.OnWindowEvent(events.Common.WindowClosing, func(*application.WindowEvent) { w.Closed() })
	go w.Follow(in)
	defer w.Closed()
	return app.Run()
}

// only keeps the toolkit's own addresses away from the page: it needs none.
func only(h http.Handler) application.Middleware {
	return func(http.Handler) http.Handler { return h }
}
