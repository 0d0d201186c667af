package main

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"sort"
	"strings"
	"time"

	_ "embed"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
)

//go:embed openapi.json
var openAPI []byte

const (
	largestBody = 4 << 20 // as the public door
	usualLimit  = 30 * time.Second
)

// limits of calls that take longer than others by design.
var limits = map[string]time.Duration{
	"POST /v1/songs":                     75 * time.Second, // waits up to 60 s
	"POST /v1/songs:batchCreate":         75 * time.Second,
	"POST /v1/songs:batchRetry":          75 * time.Second,
	"POST /v1/songs:batchDelete":         75 * time.Second,
	"POST /v1/audio:analyze":             10 * time.Minute,
	"POST /v1/{name=artifacts/*}:verify": 10 * time.Minute,
}

// route is what the OpenAPI document says of one operation; the document is the table that requests are checked against.
type route struct {
	query map[string]bool
	limit time.Duration
}

type routes struct {
	byPattern map[string]route // "GET /v1/{name=songs/*}"
	paths     []place
}

type place struct {
	matches *regexp.Regexp
	methods []string
}

func readRoutes(document []byte) (routes, error) {
	var read struct {
		Paths map[string]map[string]struct {
			Pattern    string `json:"x-pattern"`
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal(document, &read); err != nil {
		return routes{}, err
	}
	table := routes{byPattern: map[string]route{}}
	for template, operations := range read.Paths {
		found := place{matches: regexp.MustCompile("^" + placeholder.ReplaceAllString(regexp.QuoteMeta(template), `[^/:]+`) + "$")}
		for method, operation := range operations {
			method = strings.ToUpper(method)
			found.methods = append(found.methods, method)
			one := route{query: map[string]bool{}, limit: usualLimit}
			for _, parameter := range operation.Parameters {
				if parameter.In == "query" {
					one.query[parameter.Name] = true
				}
			}
			key := method + " " + bare.ReplaceAllString(operation.Pattern, "{$1=*}")
			if limit, ok := limits[key]; ok {
				one.limit = limit
			}
			table.byPattern[key] = one
		}
		sort.Strings(found.methods)
		table.paths = append(table.paths, found)
	}
	return table, nil
}

// bare is "{word}", which grpc-gateway writes as "{word=*}".
var bare = regexp.MustCompile(`\{(\w+)\}`)

var placeholder = regexp.MustCompile(`\\\{[^/]+?\\\}`)

// allowed are the methods of a path; nil when there is no such path.
func (t routes) allowed(path string) []string {
	for _, one := range t.paths {
		if one.matches.MatchString(path) {
			return one.methods
		}
	}
	return nil
}

// check refuses what the operation does not know and sets its limits; nothing that is set is ever ignored.
func (t routes) check(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if strings.Contains(params["name"], ":") {
			// a verb of another method: no name of ours has a colon
			noSuchRoute(w, r, t.allowed(r.URL.Path))
			return
		}
		pattern, _ := runtime.HTTPPattern(r.Context())
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		route, known := t.byPattern[method+" "+pattern.String()]
		if !known {
			panic("not in openapi.json: " + method + " " + pattern.String())
		}
		for name := range r.URL.Query() {
			if !route.query[name] {
				refusal(codes.InvalidArgument, "UNKNOWN_FIELD", name, "the request has no parameter %q: see /docs for those it has", name).write(w, r)
				return
			}
		}
		note(r, pattern.String())
		if isStream(pattern.String()) {
			next(w, r, params)
			return
		}
		ctx, cancel := context.WithTimeout(withIdempotencyKey(r.Context(), r), route.limit)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, largestBody)
		next(w, r, params)
	}
}

func noSuchRoute(w http.ResponseWriter, r *http.Request, methods []string) {
	if methods == nil {
		refusal(codes.NotFound, "METHOD_NOT_FOUND", "", "there is nothing at %s: /docs lists what there is", r.URL.Path).write(w, r)
		return
	}
	problem := refusal(codes.Unimplemented, "METHOD_NOT_FOUND", "", "%s takes %s", r.URL.Path, strings.Join(methods, ", "))
	problem.httpStatus = http.StatusMethodNotAllowed
	w.Header().Set("Allow", strings.Join(methods, ", "))
	problem.write(w, r)
}
