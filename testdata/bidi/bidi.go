// Package bidi drives a browser by WebDriver BiDi (W3C Working Draft "WebDriver
// BiDi", sections 5 and 7): the few commands that a test of a page needs. Firefox
// speaks it by itself; no driver program is needed.
package bidi

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// Firefox is one running browser with one page.
type Firefox struct {
	cmd  *exec.Cmd
	conn *websocket.Conn
	page string
	id   int
}

// Start runs Debian's Firefox ESR without a window, with a new profile in dir and
// the preferences given (values as JavaScript literals).
func Start(ctx context.Context, dir string, preferences map[string]string) (*Firefox, error) {
	if _, err := exec.LookPath("firefox-esr"); err != nil {
		return nil, errors.New("bidi: firefox-esr is missing; `make deps` installs it")
	}
	profile := filepath.Join(dir, "profile")
	if err := os.MkdirAll(profile, 0o700); err != nil {
		return nil, err
	}
	prefs := map[string]string{
		"remote.active-protocols": "1", "intl.accept_languages": `"it"`, "browser.shell.checkDefaultBrowser": "false",
		"app.update.enabled": "false", "datareporting.policy.dataSubmissionEnabled": "false", "toolkit.telemetry.enabled": "false",
		"network.captive-portal-service.enabled": "false", "network.connectivity-service.enabled": "false",
		"browser.safebrowsing.update.enabled": "false", "extensions.update.enabled": "false", "services.settings.server": `"http://127.0.0.1:9/"`,
	}
	for k, v := range preferences {
		prefs[k] = v
	}
	var js strings.Builder
	for k, v := range prefs {
		fmt.Fprintf(&js, "user_pref(%q, %s);\n", k, v)
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(js.String()), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "firefox-esr", "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0") //nolint:gosec // a test's own folder
	cmd.Env = append(os.Environ(), "HOME="+dir, "MOZ_CRASHREPORTER_DISABLE=1", "LANG=it_IT.UTF-8")
	// A process group of its own: its content processes end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	errs, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bidi: %w", err)
	}
	f := &Firefox{cmd: cmd}
	address, err := listening(errs)
	if err == nil {
		err = f.open(ctx, address)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// listening reads the address that Firefox says it listens on.
func listening(r io.Reader) (string, error) {
	s := bufio.NewScanner(r)
	var seen []string
	for s.Scan() {
		if _, at, ok := strings.Cut(s.Text(), "BiDi listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, r) }()
			return strings.TrimSpace(at), nil
		}
		seen = append(seen, s.Text())
	}
	return "", fmt.Errorf("bidi: firefox ended: %s", strings.Join(seen, "\n"))
}

func (f *Firefox) open(ctx context.Context, address string) error {
	conn, resp, err := websocket.DefaultDialer.DialContext(ctx, address+"/session", nil)
	if resp != nil && resp.Body != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		return fmt.Errorf("bidi: %w", err)
	}
	f.conn = conn
	if err := f.call("session.new", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{"acceptInsecureCerts": true}}}, nil); err != nil {
		return err
	}
	var tree struct {
		Contexts []struct {
			Context string `json:"context"`
		} `json:"contexts"`
	}
	if err := f.call("browsingContext.getTree", map[string]any{}, &tree); err != nil {
		return err
	}
	if len(tree.Contexts) == 0 {
		return errors.New("bidi: no page")
	}
	f.page = tree.Contexts[0].Context
	return nil
}

// call sends a command and reads until its answer; events are passed over.
func (f *Firefox) call(method string, params, result any) error {
	f.id++
	if err := f.conn.WriteJSON(map[string]any{"id": f.id, "method": method, "params": params}); err != nil {
		return fmt.Errorf("bidi: %s: %w", method, err)
	}
	if err := f.conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	for {
		var answer struct {
			ID      int             `json:"id"`
			Type    string          `json:"type"`
			Result  json.RawMessage `json:"result"`
			Error   string          `json:"error"`
			Message string          `json:"message"`
		}
		if err := f.conn.ReadJSON(&answer); err != nil {
			return fmt.Errorf("bidi: %s: %w", method, err)
		}
		if answer.ID != f.id {
			continue
		}
		if answer.Type == "error" {
			return fmt.Errorf("bidi: %s: %s: %s", method, answer.Error, answer.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(answer.Result, result)
	}
}

// Navigate opens an address and waits until it is loaded.
func (f *Firefox) Navigate(url string) error {
	return f.call("browsingContext.navigate", map[string]any{"context": f.page, "url": url, "wait": "complete"}, nil)
}

// Text runs an expression in the page and gives its value, a string.
func (f *Firefox) Text(expression string) (string, error) {
	var out struct {
		Type   string `json:"type"`
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		Details struct {
			Text string `json:"text"`
		} `json:"exceptionDetails"`
	}
	err := f.call("script.evaluate", map[string]any{"expression": "String(" + expression + ")", "target": map[string]any{"context": f.page}, "awaitPromise": true}, &out)
	if err == nil && out.Type == "exception" {
		err = fmt.Errorf("bidi: %s: %s", expression, out.Details.Text)
	}
	s, _ := out.Result.Value.(string)
	return s, err
}

// Until evaluates an expression until it is true.
func (f *Firefox) Until(ctx context.Context, expression string) error {
	for {
		// While the page changes there may be nothing to evaluate in.
		v, err := f.Text(expression)
		if err == nil && v == "true" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("bidi: %s: %q, %w", expression, v, errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Screenshot of what the page shows, PNG.
func (f *Firefox) Screenshot() ([]byte, error) {
	var out struct {
		Data string `json:"data"`
	}
	if err := f.call("browsingContext.captureScreenshot", map[string]any{"context": f.page}, &out); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(out.Data)
}

// Close ends the browser.
func (f *Firefox) Close() error {
	if f.conn != nil {
		_ = f.conn.Close()
	}
	if err := syscall.Kill(-f.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		return err
	}
	_ = f.cmd.Wait() // ended by our signal
	return nil
}
