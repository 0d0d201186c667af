package main

import (
	"context"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	songpb "harmonia/rest/gen/harmonia/song/v1"
)

type idempotencyKey struct{}

func withIdempotencyKey(ctx context.Context, r *http.Request) context.Context {
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		return context.WithValue(ctx, idempotencyKey{}, key)
	}
	return ctx
}

// idempotent makes the Idempotency-Key of a request its request_id: the same key with the same spec is the same song.
type idempotent struct{ songpb.SongServiceClient }

func (c idempotent) CreateSong(ctx context.Context, request *songpb.CreateSongRequest, options ...grpc.CallOption) (*songpb.Song, error) {
	key, ok := ctx.Value(idempotencyKey{}).(string)
	if ok && request.GetRequestId() != "" && request.GetRequestId() != key {
		return nil, refusal(codes.InvalidArgument, "CONTRADICTORY", "request_id", "request_id is %q and Idempotency-Key %q: send one of them", request.GetRequestId(), key)
	}
	if ok {
		request = proto.Clone(request).(*songpb.CreateSongRequest)
		request.RequestId = key
	}
	return c.SongServiceClient.CreateSong(ctx, request, options...)
}
