package page_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"fanout/api/peerapi"
	"fanout/internal/proving/fleet"
	"fanout/internal/proving/fleet/fleettest"
	"fanout/internal/proving/valve"
)

// The page in the states that people see it in, light and dark, on a screen and on a phone;
// in each it can be read and operated. With -screenshots, the pictures of the README.
func TestLooks(t *testing.T) {
	ctx := t.Context()
	f := fleettest.New(t, fleettest.Plain)
	tracker := f.Tracker("--lease", "6s")
	fleettest.Start(t, tracker)
	const size, peers = 48 << 20, 12
	source := fleettest.File(t, f.Dir(), "ubuntu-26.04.iso", size, 1)
	// All that the twelve are let have from the origin is less than the file: none is complete
	// before one is killed.
	shut := valve.New(t, size*8/100)
	origin := f.Origin("origin", []string{source}, "--max-upload", "4MB", "--advertise", shut.Address())
	fleettest.Start(t, origin)
	shut.To(origin.ChunkAddress())
	var all []*fleet.Peer
	for i := range peers {
		p := f.Peer(fmt.Sprintf("node-%02d", i+1), "--max-upload", "8MB")
		fleettest.Start(t, p)
		all = append(all, p)
	}
	b := open(t, tracker.URL())
	startAll(t, all[:10], peerapi.DownloadRequest{File: "ubuntu-26.04.iso"})
	time.Sleep(1500 * time.Millisecond)
	startAll(t, all[10:], peerapi.DownloadRequest{File: "ubuntu-26.04.iso", Sha256: ptr(strings.Repeat("0", 64))}) // will fail
	b.await(`document.querySelectorAll('.members tbody tr').length === 12`)
	b.await(`+document.querySelector('tr[data-peer=node-01] [data-field=done]').dataset.value > 700`)
	if err := all[5].Kill(); err != nil {
		t.Fatal(err)
	}
	shut.Open()
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		usable(t, b, theme)
	}
	b.theme("light")
	b.shoot("transfer", 1280)
	b.shoot("phone", 390)
	b.theme("dark")
	b.shoot("dark", 1280)
	b.theme("light")
	b.await(`document.querySelectorAll('tr[data-state=complete]').length === 9`)
	b.await(`document.querySelectorAll('tr[data-state=failed]').length === 2`)
	b.await(`document.querySelectorAll('tr[data-state=lost]').length === 1`)
	b.await(`document.querySelector('tr[data-peer=node-11] [data-field=error]').innerText.includes('SHA-256')`)
	b.await(`document.querySelector('#finished tbody td:nth-child(3)').innerText === '✕ 9 of 12'`)
	for _, theme := range []string{"dark", "light"} {
		b.theme(theme)
		usable(t, b, theme+", with failed peers")
	}
	b.shoot("failed", 1280)
	fleettest.Start(t, all[5])
	for _, p := range all {
		list, err := p.API().ListDownloadsWithResponse(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Delete(ctx, list.JSON200.Downloads[0].Id); err != nil {
			t.Fatal(err)
		}
	}
	again := startAll(t, all, peerapi.DownloadRequest{File: "ubuntu-26.04.iso", Output: ptr("again.iso")})
	for i, p := range all {
		if _, err := p.Complete(ctx, again[i]); err != nil {
			t.Fatal(err)
		}
	}
	b.await(`document.querySelectorAll('tr[data-state=complete]').length === 12`)
	b.await(`document.querySelector('#finished tbody td:nth-child(3)').innerText === '✓ 12' && !document.querySelector('.file.running')`)
	b.shoot("finished", 1280)
}

// usable checks what can be checked of a page's accessibility from within: names and roles,
// contrast, what a keyboard reaches, no width beyond the screen.
func usable(t *testing.T, b *tab, when string) {
	t.Helper()
	var found struct {
		Contrast, Nameless, Roles []string
		Wide                      bool
		Colours                   map[string][3]float64
	}
	text := b.text(`JSON.stringify((() => {
		const parse = (c) => { const [r, g, b, a = 1] = c.match(/[\d.]+/g).map(Number); return { rgb: [r, g, b], a }; };
		const luminance = (rgb) => rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
			.reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
		const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a > 0) return c.rgb; } return [255, 255, 255]; };
		const contrast = [];
		const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		for (let n; (n = walker.nextNode());) {
			const e = n.parentElement;
			if (!n.data.trim() || !e.checkVisibility() || e.closest('.unseen, .skip')) continue;
			const a = luminance(parse(getComputedStyle(e).color).rgb), b = luminance(ground(e));
			const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
			if (ratio < 4.5) contrast.push(ratio.toFixed(2) + ' ' + e.tagName + '.' + e.className + ' ' + n.data.trim().slice(0, 30));
		}
		const name = (e) => e.getAttribute('aria-label') || (e.labels && e.labels[0]?.innerText) || e.innerText || document.getElementById(e.getAttribute('aria-labelledby'))?.innerText;
		const nameless = [...document.querySelectorAll('button, a, summary, canvas, progress, table, [role=region], [role=img], main > section')]
			.filter((e) => e.checkVisibility() && !(e instanceof HTMLCanvasElement && e.closest('tr') && !e.width) && !name(e) && e.id !== 'finished')
			.map((e) => e.outerHTML.slice(0, 80));
		const roles = ['header', 'main', 'footer', 'h1', '[aria-live=polite]', '[role=alert]', 'a.skip', 'html[lang]', 'th[scope=col]', 'th[scope=row]', '.members [role=columnheader][aria-sort]']
			.filter((s) => !document.querySelector(s));
		const style = getComputedStyle(document.documentElement), colours = {};
		for (const c of ['origin', 'peers', 'missing']) {
			const hex = style.getPropertyValue('--' + c).trim();
			colours[c] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);
		}
		return { contrast, nameless, roles, wide: document.documentElement.scrollWidth > innerWidth, colours };
	})())`)
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		t.Fatal(err)
	}
	if len(found.Contrast)+len(found.Nameless)+len(found.Roles) > 0 || found.Wide {
		t.Errorf("%s: contrast %q, without a name %q, missing %q, too wide %v", when, found.Contrast, found.Nameless, found.Roles, found.Wide)
	}
	for _, kind := range []string{"everybody", "protanopia", "deuteranopia", "tritanopia"} {
		for _, pair := range [][2]string{{"origin", "peers"}, {"origin", "missing"}, {"peers", "missing"}} {
			if d := difference(seen(found.Colours[pair[0]], kind), seen(found.Colours[pair[1]], kind)); d < 25 {
				t.Errorf("%s, %s: %s and %s differ by %.0f only", when, kind, pair[0], pair[1], d)
			}
		}
	}
}

// seen is a colour (linear after the call) as the colour-blind see it: the matrices of
// Machado, Oliveira and Fernandes (2009) for severity 1.
func seen(srgb [3]float64, kind string) (linear [3]float64) {
	for i, v := range srgb {
		linear[i] = math.Pow((v+0.055)/1.055, 2.4)
		if v <= 0.04045 {
			linear[i] = v / 12.92
		}
	}
	m, ok := map[string][3][3]float64{
		"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
		"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
		"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
	}[kind]
	if !ok {
		return linear
	}
	var out [3]float64
	for i := range out {
		for j := range linear {
			out[i] += m[i][j] * linear[j]
		}
		out[i] = min(1, max(0, out[i]))
	}
	return out
}

// difference is CIE76 of two linear colours: about 2 can just be seen.
func difference(a, b [3]float64) float64 {
	p, q := lab(a), lab(b)
	return math.Sqrt(math.Pow(p[0]-q[0], 2) + math.Pow(p[1]-q[1], 2) + math.Pow(p[2]-q[2], 2))
}

func lab(c [3]float64) [3]float64 {
	f := func(t float64) float64 {
		if t > 0.008856 {
			return math.Cbrt(t)
		}
		return 7.787*t + 16.0/116
	}
	x := f((0.4124*c[0] + 0.3576*c[1] + 0.1805*c[2]) / 0.9505)
	y := f(0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2])
	z := f((0.0193*c[0] + 0.1192*c[1] + 0.9505*c[2]) / 1.089)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}
