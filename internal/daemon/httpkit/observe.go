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
func (d *Daemon) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{w: middleware.NewWrapResponseWriter(w, r.ProtoMajor)}
		r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		start := d.options.Now()
		defer func() { d.report(r, x, d.options.Now().Sub(start)) }()
		next.ServeHTTP(x.w, r)
	})
}

func (d *Daemon) report(r *http.Request, x *exchange, took time.Duration) {
	status := x.w.Status()
	if status == 0 {
		status = http.StatusOK
	}
	pattern := routePattern(r)
	d.requests.WithLabelValues(pattern, methodLabel(r.Method), strconv.Itoa(status)).Observe(took.Seconds())

	level := d.level(r.Method, pattern, status)
	if level == zerolog.InfoLevel && x.err != nil && d.quiet[r.Method+" "+pattern] && !d.told.first(cause(x.err).Error(), d.options.Now()) {
		level = zerolog.DebugLevel // what is called all the time is refused all the time
	}
	if d.options.Logger.GetLevel() > level {
		return
	}
	e := d.options.Logger.WithLevel(level)
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
func (d *Daemon) level(method, pattern string, status int) zerolog.Level {
	switch {
	case status == http.StatusServiceUnavailable && pattern == "/readyz":
		return zerolog.DebugLevel // asked again and again; the reason is logged where it arises
	case status >= 500:
		return zerolog.WarnLevel
	case method == http.MethodGet || method == http.MethodHead:
		return zerolog.DebugLevel
	case status < 400 && d.quiet[method+" "+pattern]:
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
