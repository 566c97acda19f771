package server

import "testing"

func TestPrefersTrackerFile(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                          false,
		"*/*":                       false, // curl
		"text/tab-separated-values": true,
		"text/tab-separated-values; charset=utf-8":          true,
		"TEXT/Tab-Separated-Values":                         true,
		"text/*":                                            true,
		"application/json":                                  false,
		"text/tab-separated-values, */*":                    true,
		"text/tab-separated-values, application/json":       false,
		"text/tab-separated-values, application/json;q=0.5": true,
		"application/json, text/tab-separated-values;q=0.5": false,
		"text/tab-separated-values;q=0, */*":                false,
		"text/tab-separated-values;q=junk":                  false,
		"text/html,application/xhtml+xml,*/*;q=0.8":         false, // a browser
		"text/html": false,
		";;,,/":     false,
	} {
		if got := prefersTrackerFile(accept); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}
