package httpkit

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"fanout/internal/daemon/oneline"
)

// exchange is what the middlewares share about one request.
type exchange struct {
	w   middleware.WrapResponseWriter // passes Flush, ReadFrom and Unwrap on: nothing is buffered
	err error                         // what Render was given
}

type exchangeKey struct{}

// exchangeOf gives the request's exchange; an empty one for a request that did not come
// through observe.
func exchangeOf(r *http.Request) *exchange {
	if x, ok := r.Context().Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{}
}

func (x *exchange) begun() bool { return x.w != nil && x.w.Status() != 0 }

// observer keeps the request log and the histogram of requests.
type observer struct {
	logger   zerolog.Logger
	now      func() time.Time
	requests *prometheus.HistogramVec
	quiet    map[string]bool // Options.Quiet
	told     told            // of what was refused there
}

func newObserver(logger zerolog.Logger, now func() time.Time, quiet []string) *observer {
	o := &observer{logger: logger, now: now, requests: newRequestHistogram(), quiet: map[string]bool{}}
	for _, q := range quiet {
		o.quiet[q] = true
	}
	return o
}

func newRequestHistogram() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "fanout_http_request_duration_seconds",
		Help:    "Time to answer an HTTP request, to the last byte.",
		Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10, 60},

		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{"handler", "method", "code"})
}

// observe logs and measures every request, whatever becomes of it.
func (o *observer) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{w: middleware.NewWrapResponseWriter(w, r.ProtoMajor)}
		r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		start := o.now()
		defer func() { o.report(r, x, o.now().Sub(start)) }()
		next.ServeHTTP(x.w, r)
	})
}

func (o *observer) report(r *http.Request, x *exchange, took time.Duration) {
	status := x.w.Status()
	if status == 0 {
		status = http.StatusOK
	}
	pattern := routePattern(r)
	o.requests.WithLabelValues(pattern, methodLabel(r.Method), strconv.Itoa(status)).Observe(took.Seconds())

	level := o.level(r.Method, pattern, status)
	if level == zerolog.InfoLevel && x.err != nil && o.quiet[r.Method+" "+pattern] && !o.told.first(cause(x.err).Error(), o.now()) {
		level = zerolog.DebugLevel // what is called all the time is refused all the time
	}
	if o.logger.GetLevel() > level {
		return
	}
	e := o.logger.WithLevel(level)
	e.Str("method", oneline.Of(r.Method, maxWord)).Str("path", oneline.Of(r.URL.Path, maxWord)).Int("status", status).
		Int("bytes", x.w.BytesWritten()).Float64("seconds", took.Seconds()).Str("remote", r.RemoteAddr)
	if x.err != nil {
		e.Str(zerolog.ErrorFieldName, oneline.Of(cause(x.err).Error(), oneline.Max))
	}
	e.Msg("request")
}

// cause is the error to log: a hidden cause says more than the detail, which is in the answer.
func cause(err error) error {
	var e *Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}

// level keeps the log to what an operator wants to know: who changed what, and what failed.
func (o *observer) level(method, pattern string, status int) zerolog.Level {
	switch {
	case status == http.StatusServiceUnavailable && pattern == "/readyz":
		return zerolog.DebugLevel // asked again and again; the reason is logged where it arises
	case status >= 500:
		return zerolog.WarnLevel
	case method == http.MethodGet || method == http.MethodHead:
		return zerolog.DebugLevel
	case status < 400 && o.quiet[method+" "+pattern]:
		return zerolog.DebugLevel
	}
	return zerolog.InfoLevel
}

// routePattern is the matched route, never a raw path: the label must stay bounded.
func routePattern(r *http.Request) string {
	rctx := chi.RouteContext(r.Context())
	if rctx == nil || len(rctx.RoutePatterns) == 0 {
		return "other"
	}
	if p := rctx.RoutePattern(); p != "" {
		return p
	}
	return "other"
}

func methodLabel(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete:
		return m
	}
	return "other"
}

// recover turns a panic into a 500 and a log line with the stack.
func (d *Daemon) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // a panic value, compared as net/http does
				panic(v)
			}
			d.options.Logger.Error().Interface("panic", v).Str("path", oneline.Of(r.URL.Path, maxWord)).
				Bytes("stack", debug.Stack()).Msg("handler panicked")
			d.Render(w, r, Errorf(http.StatusInternalServerError,
				"internal error; the log of the %s says more", d.options.Name))
		}()
		next.ServeHTTP(w, r)
	})
}
