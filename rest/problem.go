package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Problem is what every refusal looks like: {"error": {…}}, as the command line prints it too. Reasons: docs/errors.md.
type Problem struct {
	Code      string `json:"code"`
	Reason    string `json:"reason"`
	Field     string `json:"field"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`

	retryAfterS int
	httpStatus  int
}

func (p *Problem) Error() string { return p.Message }

// names are those of google.rpc.Code; what a status of the transport itself means, which carries no reason of ours.
var names = map[codes.Code]struct {
	code, reason string
	http         int
}{
	codes.Canceled:           {"CANCELLED", "CANCELLED", 499},
	codes.InvalidArgument:    {"INVALID_ARGUMENT", "MALFORMED", http.StatusBadRequest},
	codes.OutOfRange:         {"INVALID_ARGUMENT", "OUT_OF_RANGE", http.StatusBadRequest},
	codes.DeadlineExceeded:   {"DEADLINE_EXCEEDED", "DEADLINE", http.StatusGatewayTimeout},
	codes.NotFound:           {"NOT_FOUND", "METHOD_NOT_FOUND", http.StatusNotFound},
	codes.Unimplemented:      {"NOT_FOUND", "METHOD_NOT_FOUND", http.StatusNotFound},
	codes.AlreadyExists:      {"ALREADY_EXISTS", "ETAG_MISMATCH", http.StatusConflict},
	codes.Aborted:            {"ALREADY_EXISTS", "ETAG_MISMATCH", http.StatusConflict},
	codes.PermissionDenied:   {"PERMISSION_DENIED", "CALLER_REFUSED", http.StatusForbidden},
	codes.Unauthenticated:    {"UNAUTHENTICATED", "TOKEN_INVALID", http.StatusUnauthorized},
	codes.ResourceExhausted:  {"RESOURCE_EXHAUSTED", "TOO_MANY_CALLS", http.StatusTooManyRequests},
	codes.FailedPrecondition: {"FAILED_PRECONDITION", "WRONG_STATE", http.StatusConflict},
	codes.Internal:           {"INTERNAL", "INTERNAL", http.StatusInternalServerError},
	codes.Unavailable:        {"UNAVAILABLE", "UNREACHABLE", http.StatusServiceUnavailable},
}

// Bodies that are too large are 413 although gRPC has one code for all that is wrong with an argument.
var statusOfReason = map[string]int{"TOO_LARGE": http.StatusRequestEntityTooLarge, "MESSAGE_TOO_LARGE": http.StatusRequestEntityTooLarge}

var unfit = regexp.MustCompile(`parsing (?:field|parameter) "([^"]*)":`)
var unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)

func refusal(code codes.Code, reason, field, format string, values ...any) *Problem {
	name := names[code]
	p := &Problem{Code: name.code, Reason: reason, Field: field, Message: fmt.Sprintf(format, values...), httpStatus: name.http}
	if http, ok := statusOfReason[reason]; ok {
		p.httpStatus = http
	}
	return p
}

// problemOf reads what the gateway said; a status without our details is the transport's own.
func problemOf(err error) *Problem {
	if p, ok := err.(*Problem); ok {
		return p
	}
	if misread := (*runtime.HTTPStatusError)(nil); errors.As(err, &misread) {
		err = status.Error(codes.InvalidArgument, misread.Error()) // grpc-gateway's own, of a path
	}
	told := status.Convert(err)
	name, ok := names[told.Code()]
	if !ok {
		name.code, name.reason, name.http = "INTERNAL", "INTERNAL", http.StatusInternalServerError
	}
	p := &Problem{Code: name.code, Reason: name.reason, Message: told.Message(), httpStatus: name.http}
	ours := false
	for _, detail := range told.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			p.Reason, ours = detail.GetReason(), true
		case *errdetails.BadRequest:
			if violations := detail.GetFieldViolations(); len(violations) > 0 {
				p.Field = violations[0].GetField()
			}
		case *errdetails.RetryInfo:
			p.retryAfterS = int(math.Ceil(detail.GetRetryDelay().AsDuration().Seconds()))
		case *errdetails.RequestInfo:
			p.RequestID = detail.GetRequestId()
		}
	}
	if !ours && told.Code() == codes.Canceled {
		// not by us, and not by the gateway's own word: it is too busy, or going down
		away := names[codes.Unavailable]
		p.Code, p.Reason, p.httpStatus = away.code, away.reason, away.http
	}
	if !ours {
		p.explain()
	}
	if http, ok := statusOfReason[p.Reason]; ok {
		p.httpStatus = http
	}
	return p
}

// explain puts what was not said by the gateway into words that help: a body that does not parse, a door that is shut.
func (p *Problem) explain() {
	switch found := unknownField.FindStringSubmatch(p.Message); {
	case p.Code == "INVALID_ARGUMENT" && found != nil:
		p.Reason, p.Field = "UNKNOWN_FIELD", found[1]
		p.Message = fmt.Sprintf("the request has no field %q: leave it out, or see /docs for what it may have", found[1])
	case p.Code == "INVALID_ARGUMENT" && unfit.MatchString(p.Message):
		p.Field = unfit.FindStringSubmatch(p.Message)[1]
		p.Message = fmt.Sprintf("%s cannot be read: see /docs for what it may be", p.Field)
	case p.Code == "INVALID_ARGUMENT":
		// protobuf-go varies its own spaces, so that nobody compares its texts
		p.Message = strings.ReplaceAll(strings.TrimPrefix(p.Message, "proto:\u00a0"), "\u00a0", " ")
		if strings.Contains(p.Message, "http: request body too large") {
			p.Reason = "MESSAGE_TOO_LARGE"
		}
	case p.Reason == "UNREACHABLE":
		p.Message, p.retryAfterS = "the gateway cannot be reached now: try again", 1
	case p.Code == "INTERNAL":
		p.Message = "internal error; the request id leads to the log line"
	}
}

func (p *Problem) write(w http.ResponseWriter, r *http.Request) {
	noteRefusal(r, p.Reason)
	if p.RequestID == "" {
		p.RequestID = r.Header.Get(requestIDHeader)
	}
	header := w.Header()
	for _, ofTheBody := range []string{"Content-Length", "Content-Range", "Content-Disposition", "Etag", "Last-Modified", "Accept-Ranges"} {
		header.Del(ofTheBody)
	}
	header.Set("Content-Type", "application/json")
	if p.retryAfterS > 0 {
		header.Set("Retry-After", strconv.Itoa(p.retryAfterS))
	}
	if p.httpStatus == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.httpStatus)
	w.Write(append(p.json(), '\n'))
}

func (p *Problem) json() []byte {
	body, err := json.Marshal(map[string]*Problem{"error": p})
	if err != nil {
		panic(err) // five strings
	}
	return body
}
