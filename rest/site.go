package main

import (
	"embed"
	"io/fs"
	"net/http"
	"slices"
	"strings"
)

//go:embed pages
var pages embed.FS

// policy: pages load what this server has, and nothing from anywhere else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// site is all there is at this door: the API, its description, sessions, health, and the pages of people.
func site(api *API, sessions *Sessions) http.Handler {
	files, err := fs.Sub(pages, "pages")
	if err != nil {
		panic(err) // embedded
	}
	page := func(file string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			note(r, r.URL.Path)
			w.Header().Set("Content-Security-Policy", policy)
			http.ServeFileFS(w, r, files, file)
		}
	}
	own := map[string]http.HandlerFunc{
		"/":               page("start.html"),
		"/docs":           page("docs.html"),
		"/pages/docs.js":  page("docs.js"),
		"/pages/start.js": page("start.js"),
		"/pages/page.css": page("page.css"),
		"/session":        sessions.serve,
		"/openapi.json": func(w http.ResponseWriter, r *http.Request) {
			note(r, r.URL.Path)
			w.Header().Set("Content-Type", "application/json")
			w.Write(openAPI)
		},
		"/healthz": func(w http.ResponseWriter, r *http.Request) {
			note(r, r.URL.Path)
			w.Header().Set("Content-Type", "application/json")
			w.Write([]byte("{\"status\": \"SERVING\"}\n"))
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/s/") {
			api.share(w, r)
			return
		}
		handle, ok := own[r.URL.Path]
		if !ok {
			api.mux.ServeHTTP(w, r)
			return
		}
		methods := api.table.allowed(r.URL.Path)
		if methods == nil {
			methods = []string{http.MethodGet, http.MethodHead} // a page
		}
		if !slices.Contains(methods, r.Method) {
			noSuchRoute(w, r, methods)
			return
		}
		handle(w, r)
	})
}
