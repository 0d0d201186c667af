package main

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
)

// guard stands in front of every route: who may be asked for, from which pages, and what no client may say.
type guard struct {
	hosts, origins []string
	proxies        []netip.Prefix
	secure         bool
}

const (
	requestIDHeader = "X-Request-Id"
	corsMethods     = "GET, HEAD, POST, DELETE"
	corsHeaders     = "authorization, content-type, content-digest, idempotency-key, last-event-id, range, traceparent, x-request-id"
	corsExposed     = "content-range, content-length, etag, location, retry-after, x-request-id"
)

func (g guard) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.clean(r)
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set(requestIDHeader, r.Header.Get(requestIDHeader))
		if !g.answersFor(r.Host) {
			// another name that leads here is how a page of a stranger reaches a local server (DNS rebinding)
			refusal(codes.PermissionDenied, "CALLER_REFUSED", "Host", "this server is not called %s: HARMONIA_HOSTS names what it is called", r.Host).write(w, r)
			return
		}
		if g.cors(w, r) {
			return
		}
		if !isText(r.URL) {
			refusal(codes.InvalidArgument, "MALFORMED", "", "the address cannot be read: it must be percent-encoded UTF-8").write(w, r)
			return
		}
		r.URL.RawPath = r.URL.EscapedPath() // grpc-gateway would unescape twice what has none
		next.ServeHTTP(w, r)
	})
}

// isText: names and values are UTF-8, as protobuf wants them, and no part of the query is left out as unreadable.
func isText(address *url.URL) bool {
	query, err := url.QueryUnescape(address.RawQuery)
	if err == nil {
		_, err = url.ParseQuery(address.RawQuery)
	}
	return err == nil && utf8.ValidString(address.Path) && utf8.ValidString(query)
}

// clean makes what the gateway is told our own: the client's address, a request id, and no gRPC metadata of the client's.
func (g guard) clean(r *http.Request) {
	r.RemoteAddr = net.JoinHostPort(g.client(r), "0")
	for name := range r.Header {
		if strings.HasPrefix(name, "Grpc-") || strings.HasPrefix(name, "X-Forwarded-") {
			r.Header.Del(name)
		}
	}
	if !isID(r.Header.Get(requestIDHeader)) {
		r.Header.Set(requestIDHeader, newID())
	}
	if !isTraceparent(r.Header.Get("Traceparent")) {
		r.Header.Set("Traceparent", newTraceparent())
	}
}

// client is the nearest address that is no proxy of ours.
func (g guard) client(r *http.Request) string {
	nearest, _, _ := net.SplitHostPort(r.RemoteAddr)
	hops := listed(strings.Join(r.Header.Values("X-Forwarded-For"), ","))
	for i := len(hops) - 1; i >= 0 && g.isProxy(nearest); i-- {
		nearest = hops[i]
	}
	return nearest
}

func (g guard) isProxy(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(g.proxies, func(network netip.Prefix) bool { return network.Contains(address.Unmap()) })
}

func clientAddress(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}

func (g guard) answersFor(host string) bool {
	name := host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		name = bare
	}
	name = strings.Trim(name, "[]")
	return isLoopback(name) || slices.Contains(g.hosts, strings.ToLower(name)) || slices.Contains(g.hosts, strings.ToLower(host))
}

// cors answers preflights and lets pages of the configured origins read. True: the request is answered.
func (g guard) cors(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	allowed := origin != "" && slices.Contains(g.origins, origin)
	if len(g.origins) > 0 {
		w.Header().Add("Vary", "Origin")
	}
	if allowed {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", corsExposed)
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" || !allowed {
		return false
	}
	w.Header().Set("Access-Control-Allow-Methods", corsMethods)
	w.Header().Set("Access-Control-Allow-Headers", corsHeaders)
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// isOwnPage says that a page of this very server made the request, as far as a browser tells: what a cookie may be used for.
func (g guard) isOwnPage(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	}
	scheme := "http://"
	if g.secure {
		scheme = "https://"
	}
	return origin == scheme+r.Host
}
