package trackerclient

import (
	"net/http"
	"net/url"
)

// UseProxy has a client ask a proxy, which the environment cannot: it is read once.
func UseProxy(c *Client, proxy string) {
	c.transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy) }
}
