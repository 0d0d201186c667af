package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	songpb "harmonia/rest/gen/harmonia/song/v1"
)

// longestGap is how long a watch goes on by itself while the gateway is away; then the client is told to come back.
const longestGap = 30 * time.Second

// events writes server-sent events (WHATWG HTML §9.2). Nothing is sent before the first of them, so that a refusal can
// still be an answer with a status of its own.
type events struct {
	w     http.ResponseWriter
	begun bool
}

func (e *events) begin() {
	if e.begun {
		return
	}
	header := e.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would keep events back
	e.w.WriteHeader(http.StatusOK)
	e.begun = true
}

func (e *events) send(kind, id string, body []byte) error {
	e.begin()
	var text strings.Builder
	if kind != "" {
		text.WriteString("event: " + kind + "\n")
	}
	if id != "" {
		text.WriteString("id: " + id + "\n")
	}
	text.WriteString("data: ")
	text.Write(body)
	text.WriteString("\n\n")
	stillWriting(e.w)
	if _, err := io.WriteString(e.w, text.String()); err != nil {
		return err
	}
	return http.NewResponseController(e.w).Flush()
}

func (e *events) message(id string, message proto.Message) error {
	body, err := asJSON(message)
	if err != nil {
		return err
	}
	return e.send("", id, body)
}

// fail is an answer when nothing was sent yet, and an event when the status line has gone.
func (e *events) fail(r *http.Request, err error) {
	problem := problemOf(err)
	if !e.begun {
		problem.write(e.w, r)
		return
	}
	noteRefusal(r, problem.Reason)
	problem.RequestID = r.Header.Get(requestIDHeader)
	e.send("error", "", problem.json())
}

func (e *events) end() { e.send("end", "", []byte("{}")) }

// watch goes on where Last-Event-ID left off, and itself resumes when the gateway is started again. A browser that
// comes back after the end is told 204, which keeps it from coming again.
func (a *API) watch(w http.ResponseWriter, r *http.Request, params map[string]string) {
	resumed := r.Header.Get("Last-Event-ID")
	token := r.URL.Query().Get("resume_token")
	if resumed != "" {
		token = resumed
	}
	ctx, cancel := a.untilDrained(toGateway(r))
	defer cancel()
	out := &events{w: w}
	heard := time.Now()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		before := token
		err := a.follow(ctx, params["name"], &token, out)
		if token != before {
			heard, pause = time.Now(), 50*time.Millisecond
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, io.EOF) && !out.begun && resumed != "":
			w.WriteHeader(http.StatusNoContent)
			return
		case errors.Is(err, io.EOF):
			out.end()
			return
		case !isAway(err) || time.Since(heard) > longestGap || !out.begun && time.Since(heard) > longestConnect:
			out.fail(r, err)
			return
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// isAway says that the same call may succeed in a moment.
func isAway(err error) bool { return problemOf(err).Code == "UNAVAILABLE" }

// follow passes events on until the stream ends, and why it did: io.EOF when the song has.
func (a *API) follow(ctx context.Context, name string, token *string, out *events) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.songs.WatchSong(ctx, &songpb.WatchSongRequest{Name: name, ResumeToken: *token})
	if err != nil {
		return err
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := out.message(event.GetResumeToken(), event); err != nil {
			return err
		}
		*token = event.GetResumeToken()
	}
}

// told answers a call whose answer is a stream by an event for each message.
func told[Request any, Response any, In interface {
	*Request
	proto.Message
}, Out interface {
	*Response
	proto.Message
}](a *API, call func(context.Context, In, ...grpc.CallOption) (grpc.ServerStreamingClient[Response], error)) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
		request, out := In(new(Request)), &events{w: w}
		if err := newCodec().NewDecoder(http.MaxBytesReader(w, r.Body, largestBody)).Decode(request); err != nil {
			out.fail(r, status.Error(codes.InvalidArgument, err.Error()))
			return
		}
		ctx, cancel := a.untilDrained(toGateway(r))
		defer cancel()
		stream, err := call(ctx, request)
		for err == nil {
			var message *Response
			if message, err = stream.Recv(); err == nil {
				err = out.message("", Out(message))
			}
		}
		if !errors.Is(err, io.EOF) {
			out.fail(r, err)
			return
		}
		out.end()
	}
}

// untilDrained ends streams that would otherwise keep a draining process from ending.
func (a *API) untilDrained(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

func sleep(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}
