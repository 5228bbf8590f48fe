package chromium

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// What follows asks the page itself, again and again. chromedp's own queries look into a mirror
// of the page that they keep, and never end where another document took its place meanwhile.

const (
	// patience is how long one wait may last. A page that never shows what it should fails its
	// test there and not at the end of the package's time.
	patience = time.Minute
	// pause lies between two questions.
	pause = 25 * time.Millisecond
	// answerTime bounds one question: its answer may be lost with the document that it was put to.
	answerTime = 15 * time.Second
)

// reply is what the page says to a question.
type reply[T any] struct {
	Done  bool   `json:"done"`
	Value T      `json:"value"`
	Why   string `json:"why"` // not yet
}

// ask puts a question, an expression that gives a reply, until its answer is there.
func ask[T any](what, script string) chromedp.Action[T] {
	return func(ctx context.Context, t *chromedp.Target) (T, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return again(ctx, what, func() (reply[T], error) { return once[T](ctx, t, script) })
	}
}

// again tries until it is done or the time is over; then it says what was missing.
func again[T any](ctx context.Context, what string, try func() (reply[T], error)) (T, error) {
	why := "no answer"
	for {
		r, err := try()
		if err == nil && r.Done {
			return r.Value, nil
		}
		var fault *chromedp.ExceptionError
		switch {
		case errors.As(err, &fault): // of the test's own script, or the page is not so far
			why = err.Error()
		case err == nil:
			why = r.Why
		case ctx.Err() == nil: // another page comes
			why = err.Error()
		}
		select {
		case <-ctx.Done():
			var none T
			return none, fmt.Errorf("%s: %s (%w)", what, why, ctx.Err())
		case <-time.After(pause):
		}
	}
}

func once[T any](ctx context.Context, t *chromedp.Target, script string) (reply[T], error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return chromedp.Evaluate[reply[T]](script)(ctx, t)
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always can be
	}
	return string(b)
}

// found is a question about the first element that a selector matches, once it is seen on a
// page that has come in full. then is a script's body that gives a reply for e.
func found(selector, then string) string {
	return `(() => {
	if (document.readyState !== "complete") return {why: "the page is still coming: " + location};
	const e = document.querySelector(` + quoted(selector) + `);
	if (e === null || e.getClientRects().length === 0) return {why: (e === null ? "not there: " : "not seen: ") + location};
	` + then + ` })()`
}

// Seen waits until an element is seen.
func Seen(selector string) chromedp.Action[chromedp.Void] {
	return ask[chromedp.Void](selector, found(selector, `return {done: true};`))
}

// Gone waits until no element matches.
func Gone(selector string) chromedp.Action[chromedp.Void] {
	return Until(`document.readyState === "complete" && document.querySelector(` + quoted(selector) + `) === null`)
}

// Until waits until an expression holds.
func Until(expression string) chromedp.Action[chromedp.Void] {
	return ask[chromedp.Void](expression, `({done: Boolean(`+expression+`), why: "not so at " + location})`)
}

// Text is what a person reads in an element, once it is seen.
func Text(selector string) chromedp.Action[string] {
	return ask[string](selector, found(selector, `return {done: true, value: e.innerText};`))
}

// Value is what a field has.
func Value(selector string) chromedp.Action[string] {
	return ask[string](selector, found(selector, `return {done: true, value: e.value};`))
}

// SetValue gives a field its value, and the page the events of it.
func SetValue(selector, value string) chromedp.Action[chromedp.Void] {
	return ask[chromedp.Void](selector, found(selector, `e.value = `+quoted(value)+`;
	for (const x of ["input", "change"]) e.dispatchEvent(new Event(x, {bubbles: true}));
	return {done: true};`))
}

// Focus puts the focus on an element.
func Focus(selector string) chromedp.Action[chromedp.Void] {
	return ask[chromedp.Void](selector, found(selector, `e.focus(); return {done: document.activeElement === e, why: "takes no focus"};`))
}

// Type puts the focus on an element and presses keys.
func Type(selector, keys string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(Focus(selector), chromedp.KeyEvent(keys))
}

// Location is the address of the page.
func Location() chromedp.Action[string] {
	return ask[string]("the address", `({done: true, value: String(location)})`)
}

// point is where to click, in CSS pixels of the window.
type point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Click presses the mouse over the middle of an element, as soon as it is enabled, stands
// still, and nothing else lies over it. A click that did not come to a page that is still
// there is made again.
func Click(selector string) chromedp.Action[chromedp.Void] {
	// A label and its field are as good as each other: the style draws one over the other.
	where := found(selector, `if (e.matches(":disabled")) return {why: "disabled"};
	const middle = () => { const r = e.getClientRects()[0]; return {x: r.left + r.width / 2, y: r.top + r.height / 2}; };
	const hit = (p) => { const h = document.elementFromPoint(p.x, p.y); return h === null ? null : e.contains(h) || h.closest("label")?.control === e || e.control === h ? e : h; };
	let p = middle();
	if (hit(p) !== e) { e.scrollIntoView({block: "center", inline: "nearest", behavior: "instant"}); p = middle(); }
	const over = hit(p);
	if (over !== e) return {why: over === null ? "out of the window" : "under " + over.outerHTML.slice(0, 120)};
	if (window.citelClick === undefined) addEventListener("click", () => { window.citelClick = "came"; }, {capture: true});
	window.citelClick = "comes";
	return {done: true, value: p};`)
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		last := point{X: -1}
		return again(ctx, selector, func() (reply[chromedp.Void], error) {
			var r reply[chromedp.Void]
			at, err := once[point](ctx, t, where)
			if err != nil || !at.Done || at.Value != last {
				last, r.Why = at.Value, at.Why
				if at.Done {
					r.Why = "does not stand still"
				}
				return r, err
			}
			if _, err := chromedp.MouseClickXY(at.Value.X, at.Value.Y)(ctx, t); err != nil {
				return r, err
			}
			// An error, and another document: the click led on.
			came, err := once[chromedp.Void](ctx, t, `({done: window.citelClick !== "comes", why: "the click does not come"})`)
			if err != nil {
				came.Done = true
			}
			return came, ctx.Err()
		})
	}
}

// Follow presses Enter on the link that has the focus: the key alone, whose character would
// go, a message later, to the field that a link within the page has led to.
func Follow() chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		for _, kind := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} {
			if _, err := cdp.Call(ctx, t, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: kind, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13, NativeVirtualKeyCode: 13}); err != nil {
				return chromedp.Void{}, err
			}
		}
		return chromedp.Void{}, nil
	}
}

// Upload chooses files in a field.
func Upload(selector string, files ...string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		// The style may draw something else in its place.
		there := `({done: document.readyState === "complete" && document.querySelector(` + quoted(selector) + `) !== null, why: "not there: " + location})`
		if _, err := ask[chromedp.Void](selector, there)(ctx, t); err != nil {
			return chromedp.Void{}, err
		}
		e, err := chromedp.Evaluate[*runtime.RemoteObject](`document.querySelector(`+quoted(selector)+`)`)(ctx, t)
		if err == nil {
			_, err = cdp.Call(ctx, t, dom.SetFileInputFiles, dom.SetFileInputFilesParams{Files: files, ObjectID: e.ObjectID})
		}
		return chromedp.Void{}, err
	}
}

// Navigate goes to an address and waits until its page has come in full. Where the page
// before is just going elsewhere by itself, it begins anew.
func Navigate(address string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		sent := false
		return again(ctx, address, func() (reply[chromedp.Void], error) {
			var r reply[chromedp.Void]
			if !sent {
				if _, err := once[chromedp.Void](ctx, t, `({done: window.citelBefore = true})`); err != nil {
					return r, err
				}
				switch got, err := cdp.Call(ctx, t, page.Navigate, page.NavigateParams{URL: address}); {
				case err != nil:
					return r, err
				case strings.Contains(got.ErrorText, "ERR_ABORTED"):
					r.Why = got.ErrorText
					return r, nil
				case got.ErrorText != "":
					return r, &chromedp.LoadError{ErrorText: got.ErrorText}
				case got.LoaderID == "": // within the document
					r.Done = true
					return r, nil
				}
				sent = true
			}
			return once[chromedp.Void](ctx, t, `({done: window.citelBefore !== true && document.readyState === "complete", why: "the page is still coming"})`)
		})
	}
}
