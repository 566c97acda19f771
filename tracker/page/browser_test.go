package page_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/patience"
)

var screenshots = flag.String("screenshots", "", "directory to write docs/img/page-*.png to")

func TestMain(m *testing.M) { fleettest.Main(m) }

// tab is a page in a headless Chromium. What it prints on its console fails the test.
type tab struct {
	t       *testing.T
	ctx     context.Context
	mu      sync.Mutex
	trouble []string
	forgive bool // the browser's own lines about connections that are refused
}

func open(t *testing.T, url string) *tab {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("no chromium: run scripts/setup.sh test")
	}
	options := append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900),
	}, flags("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "no-default-browser-check", "hide-scrollbars", "disable-dev-shm-usage")...)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal("start chromium: ", err)
	}
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log("close chromium:", err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, line := range b.trouble {
			t.Error("console:", line)
		}
	})
	return b
}

// call sends a command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// eval is the value of a JavaScript expression, awaited if it is a promise.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return v
}

func flags(names ...string) (options []chromedp.ExecAllocatorOption) {
	for _, n := range names {
		options = append(options, chromedp.Flag(n, true))
	}
	return options
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		line, _ := json.Marshal(e.ExceptionDetails)
		b.trouble = append(b.trouble, string(line))
	case *runtime.EventConsoleAPICalled:
		line, _ := json.Marshal(e.Args)
		b.trouble = append(b.trouble, string(line))
	case *log.EventEntryAdded:
		if !b.forgive || e.Entry.Source != log.EntrySourceNetwork {
			b.trouble = append(b.trouble, fmt.Sprint(e.Entry.Level, " ", e.Entry.Text, " ", e.Entry.URL))
		}
	}
}

// offline says that the tracker is about to be away, which the browser mentions.
func (b *tab) offline() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgive = true
}

// run runs JavaScript.
func (b *tab) run(script string) {
	b.t.Helper()
	eval[chromedp.Void](b, script)
}

// text is the value of a JavaScript expression.
func (b *tab) text(script string) string {
	b.t.Helper()
	return eval[string](b, script)
}

// await waits until a JavaScript expression is true.
func (b *tab) await(expression string) {
	b.t.Helper()
	for ctx := patience.Context(b.t); !eval[bool](b, "Boolean("+expression+")"); time.Sleep(50 * time.Millisecond) {
		if ctx.Err() != nil {
			b.t.Fatalf("the page never got to: %s\n%s", expression, b.text("document.body.innerText"))
		}
	}
}

// shoot writes a screenshot of the whole page if they are wanted. They are made small with
// pngquant where that is installed.
func (b *tab) shoot(name string, width int64) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	resize := func(height int64) {
		call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
		})
		time.Sleep(400 * time.Millisecond)
	}
	resize(1600)
	most := int64(1600)
	if width < 600 {
		most = 1000
	}
	resize(min(eval[int64](b, `Math.ceil(document.body.getBoundingClientRect().bottom)`), most))
	png := call(b, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{}).Data
	call(b, emulation.ClearDeviceMetricsOverride, cdp.Empty{})
	path := filepath.Join(*screenshots, "page-"+name+".png")
	if err := os.WriteFile(path, png, 0o644); err != nil {
		b.t.Fatal(err)
	}
	if quant, err := exec.LookPath("pngquant"); err == nil {
		if out, err := exec.Command(quant, "--force", "--ext", ".png", "--strip", "--quality", "70-95", path).CombinedOutput(); err != nil {
			b.t.Log(strings.TrimSpace(string(out)))
		}
	}
}

func (b *tab) theme(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
}
