package httpkit

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
)

// Options describe a daemon to New.
type Options struct {
	// Name of the daemon, for messages: tracker, origin, peerd.
	Name     string
	Logger   zerolog.Logger
	Registry *prometheus.Registry
	// Ready says why the daemon cannot do its work just now; nil, or a nil Ready, is ready.
	// The error's text is what /readyz answers.
	Ready func() error
	// Contract is fanout.OpenAPI.
	Contract []byte
	// Map turns a domain error into an *Error with a status, or returns nil for one that it
	// does not know, which then is a 500. May be nil.
	Map func(error) *Error
	// Quiet lists "METHOD /pattern" of the calls that daemons repeat: successes are logged at
	// debug level.
	Quiet []string
	// AllowHosts are the hosts for which a listener on loopback answers beside those of
	// loopback, as the function AllowHosts reads them; web pages of theirs may change things, too.
	AllowHosts []string
	// Bodies are the limits, in bytes, of the calls ("METHOD /pattern") that take more than
	// SmallBody.
	Bodies map[string]int64
	// Now is the clock of request durations; nil means time.Now.
	Now func() time.Time
}

// Daemon is the HTTP side of a daemon. It is an http.Handler.
type Daemon struct {
	problems
	options  Options
	router   chi.Router
	contract *contract
	guard    guard
	observer *observer
}

// New builds a router that answers /livez, /readyz, /metrics and /openapi.yaml. It registers
// the Go, process and build information collectors and the request histogram, and fails if
// the registry has them already or the contract is invalid.
func New(o Options) (*Daemon, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	c, err := loadContract(o.Contract)
	if err != nil {
		return nil, fmt.Errorf("openapi contract: %w", err)
	}
	d := &Daemon{
		problems: problems{daemon: o.Name, known: o.Map}, options: o, router: chi.NewRouter(), contract: c,
		guard: guard{daemon: o.Name, hosts: o.AllowHosts}, observer: newObserver(o.Logger, o.Now, o.Quiet),
	}
	if err := d.register(); err != nil {
		return nil, err
	}
	d.router.Use(d.observer.observe, d.recover, d.protect, encodedPath, middleware.GetHead)
	d.router.NotFound(d.NotFound)
	d.router.MethodNotAllowed(d.methodNotAllowed)
	d.operations()
	return d, nil
}

// ServeHTTP answers a request.
func (d *Daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.router.ServeHTTP(w, r) }

// Router takes routes that the contract does not describe.
func (d *Daemon) Router() chi.Router { return d.router }

// API takes the generated handlers (ChiServerOptions.BaseRouter): requests are validated
// against the contract before they get there.
func (d *Daemon) API() chi.Router {
	// Bearer tokens will be checked here, before the body is read.
	return d.router.With(d.limitBody, d.validate)
}

func (d *Daemon) register() error {
	for _, c := range []prometheus.Collector{
		d.observer.requests,
		NewBuildInfoCollector(Build()),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := d.options.Registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func (d *Daemon) operations() {
	d.router.Get("/livez", func(w http.ResponseWriter, r *http.Request) { text(w, "ok\n") })
	d.router.Get("/readyz", func(w http.ResponseWriter, r *http.Request) {
		if d.options.Ready != nil {
			if err := d.options.Ready(); err != nil {
				d.Render(w, r, &Error{Status: http.StatusServiceUnavailable, Detail: err.Error(), Err: err})
				return
			}
		}
		text(w, "ok\n")
	})
	d.router.Get("/metrics", d.metrics)
	d.router.Get("/openapi.yaml", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(d.options.Contract) // the client may have gone; nobody else cares
	})
}

// metrics gathers before promhttp does, which would say in plain text what went wrong.
func (d *Daemon) metrics(w http.ResponseWriter, r *http.Request) {
	families, err := d.options.Registry.Gather()
	if err != nil {
		d.Render(w, r, fmt.Errorf("gather metrics: %w", err))
		return
	}
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
	promhttp.HandlerFor(gathered, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, r)
}

func text(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(s))
}

// NotFound answers that there is no such call.
func (d *Daemon) NotFound(w http.ResponseWriter, r *http.Request) {
	d.Render(w, r, Errorf(http.StatusNotFound, "the %s has no %s: GET /openapi.yaml lists its calls",
		d.options.Name, r.URL.Path))
}

func (d *Daemon) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	methods := d.methodsOf(r)
	if len(methods) == 0 { // chi does not look at the path where it does not know the method
		d.NotFound(w, r)
		return
	}
	allowed := strings.Join(methods, ", ")
	w.Header().Set("Allow", allowed)
	d.Render(w, r, Errorf(http.StatusMethodNotAllowed, "%s is not possible on %s, only %s",
		r.Method, r.URL.Path, allowed))
}

// methodsOf lists the methods that the path of a request has.
func (d *Daemon) methodsOf(r *http.Request) (methods []string) {
	for _, m := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
		if !d.router.Match(chi.NewRouteContext(), m, r.URL.EscapedPath()) {
			continue
		}
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return methods
}

// encodedPath makes chi route on the escaped path always, not only where the escaping is
// unusual, so that the generated code unescapes every path parameter exactly once. Without
// it the file "%41" would be looked up as "A".
func encodedPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := *r.URL
		u.RawPath = u.EscapedPath()
		r2 := *r
		r2.URL = &u
		next.ServeHTTP(w, &r2)
	})
}
