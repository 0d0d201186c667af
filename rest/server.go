package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	artifactpb "harmonia/rest/gen/harmonia/artifact/v1"
	audiopb "harmonia/rest/gen/harmonia/audio/v1"
	capabilitypb "harmonia/rest/gen/harmonia/capability/v1"
	identitypb "harmonia/rest/gen/harmonia/identity/v1"
	lyricspb "harmonia/rest/gen/harmonia/lyrics/v1"
	modelpb "harmonia/rest/gen/harmonia/model/v1"
	projectpb "harmonia/rest/gen/harmonia/project/v1"
	sharepb "harmonia/rest/gen/harmonia/share/v1"
	songpb "harmonia/rest/gen/harmonia/song/v1"
	webhookpb "harmonia/rest/gen/harmonia/webhook/v1"
)

// API answers /v1. What is one message for one is grpc-gateway's; what streams is ours: watch, words and files.
type API struct {
	songs      songpb.SongServiceClient
	artifacts  artifactpb.ArtifactServiceClient
	lyrics     lyricspb.LyricsServiceClient
	recordings audiopb.AudioServiceClient
	models     modelpb.ModelServiceClient
	projects   projectpb.ProjectServiceClient
	shares     sharepb.ShareServiceClient
	draining   <-chan struct{}
	table      routes
	mux        *runtime.ServeMux
}

type handWritten struct {
	method, pattern string
	handle          runtime.HandlerFunc
}

func newAPI(door *Door, table routes, draining <-chan struct{}) (*API, error) {
	api := &API{
		songs:      songpb.NewSongServiceClient(door),
		artifacts:  artifactpb.NewArtifactServiceClient(door),
		lyrics:     lyricspb.NewLyricsServiceClient(door),
		recordings: audiopb.NewAudioServiceClient(door),
		models:     modelpb.NewModelServiceClient(door),
		shares:     sharepb.NewShareServiceClient(door),
		projects:   projectpb.NewProjectServiceClient(door),
		draining:   draining,
		table:      table,
	}
	nothing := func(string) (string, bool) { return "", false }
	api.mux = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newCodec()),
		runtime.WithIncomingHeaderMatcher(incoming),
		runtime.WithOutgoingHeaderMatcher(nothing),
		runtime.WithOutgoingTrailerMatcher(nothing),
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
			problemOf(err).write(w, r)
		}),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, _ int) {
			noSuchRoute(w, r, table.allowed(r.URL.Path))
		}),
		runtime.WithForwardResponseOption(accepted),
		runtime.WithMiddlewares(table.check),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
		runtime.WithUnescapingMode(runtime.UnescapingModeAllExceptReserved),
	)
	ctx := context.Background()
	for _, register := range []error{
		songpb.RegisterSongServiceHandlerClient(ctx, api.mux, idempotent{api.songs}),
		lyricspb.RegisterLyricsServiceHandlerClient(ctx, api.mux, api.lyrics),
		audiopb.RegisterAudioServiceHandlerClient(ctx, api.mux, api.recordings),
		artifactpb.RegisterArtifactServiceHandlerClient(ctx, api.mux, api.artifacts),
		modelpb.RegisterModelServiceHandlerClient(ctx, api.mux, api.models),
		sharepb.RegisterShareServiceHandlerClient(ctx, api.mux, api.shares),
		projectpb.RegisterProjectServiceHandlerClient(ctx, api.mux, api.projects),
		webhookpb.RegisterWebhookServiceHandlerClient(ctx, api.mux, webhookpb.NewWebhookServiceClient(door)),
		identitypb.RegisterKeyServiceHandlerClient(ctx, api.mux, identitypb.NewKeyServiceClient(door)),
		capabilitypb.RegisterCapabilityServiceHandlerClient(ctx, api.mux, capabilitypb.NewCapabilityServiceClient(door)),
	} {
		if register != nil {
			return nil, register
		}
	}
	for _, one := range api.byHand() {
		if err := api.mux.HandlePath(one.method, one.pattern, one.handle); err != nil {
			return nil, fmt.Errorf("%s: %w", one.pattern, err)
		}
	}
	return api, nil
}

func (a *API) byHand() []handWritten {
	return []handWritten{
		{"GET", "/v1/{name=songs/*}:watch", a.watch},
		{"GET", "/v1/{name=songs/*}/audio", a.audio},
		{"HEAD", "/v1/{name=songs/*}/audio", a.audio},
		{"GET", "/v1/{name=artifacts/*}:download", a.download},
		{"HEAD", "/v1/{name=artifacts/*}:download", a.download},
		{"GET", "/v1/{name=projects/*}:export", a.export},
		{"POST", "/v1/artifacts", a.upload},
		{"POST", "/v1/{name=uploads/*}:write", a.writeUpload},
		{"POST", "/v1/lyrics:write", told(a, a.lyrics.WriteLyrics)},
		{"POST", "/v1/audio:master", told(a, a.recordings.Master)},
		{"POST", "/v1/artifacts:collectGarbage", told(a, a.artifacts.CollectGarbage)},
		{"POST", "/v1/models:import", told(a, a.models.ImportModel)},
	}
}

// isStream says that a call may last as long as it has something to say.
func isStream(pattern string) bool {
	for _, end := range []string{":watch", "/audio", ":download", ":write", ":master", ":collectGarbage", ":import", ":export"} {
		if strings.HasSuffix(pattern, end) {
			return true
		}
	}
	return pattern == "/v1/artifacts"
}

// forwarded are the headers that go on to the gateway, where they are called the same. Authorization goes by itself.
var forwarded = map[string]string{"Traceparent": "traceparent", "X-Request-Id": "x-request-id"}

func incoming(header string) (string, bool) {
	name, ok := forwarded[header]
	return name, ok
}

// toGateway is the context of a call that is routed by hand, with the metadata that grpc-gateway would send.
func toGateway(r *http.Request) context.Context {
	pairs := []string{"x-forwarded-for", clientAddress(r)}
	for header, name := range forwarded {
		pairs = append(pairs, name, r.Header.Get(header))
	}
	if token := r.Header.Get("Authorization"); token != "" {
		pairs = append(pairs, "authorization", token)
	}
	return metadata.NewOutgoingContext(withIdempotencyKey(r.Context(), r), metadata.Pairs(pairs...))
}

// accepted: 202 while a song is still to be made, 200 for one that has ended.
func accepted(ctx context.Context, w http.ResponseWriter, message proto.Message) error {
	song, ok := message.(*songpb.Song)
	method, _ := runtime.RPCMethod(ctx)
	if !ok || song.GetName() == "" || strings.HasSuffix(method, "/GetSong") || strings.HasSuffix(method, "/DeleteSong") {
		return nil
	}
	switch song.GetState() {
	case songpb.Song_QUEUED, songpb.Song_RUNNING, songpb.Song_CANCELLING:
		w.Header().Set("Location", "/v1/"+song.GetName())
		w.WriteHeader(http.StatusAccepted)
	}
	return nil
}

// stillWriting moves the time by which the client must have taken what we write: a reader may be slow, not gone.
func stillWriting(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(slowestRead))
}

const slowestRead = 30 * time.Second
