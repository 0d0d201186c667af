package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	artifactpb "harmonia/rest/gen/harmonia/artifact/v1"
	songpb "harmonia/rest/gen/harmonia/song/v1"
)

const (
	chunkBytes    = 256 << 10
	largestUpload = 200 << 20
	mostRanges    = 8 // each is a download of its own at the gateway
	slowestUpload = 10 * time.Minute
)

func (a *API) download(w http.ResponseWriter, r *http.Request, params map[string]string) {
	name := strings.TrimPrefix(params["name"], "artifacts/")
	a.serveArtifact(w, r, params["name"], name[:min(len(name), 16)], "attachment")
}

// audio is the master of a song, in the format asked for, or in the first there is of those that browsers play.
func (a *API) audio(w http.ResponseWriter, r *http.Request, params map[string]string) {
	if r.URL.Query().Get("follow") == "true" {
		a.listen(w, r, params["name"])
		return
	}
	song, err := a.songs.GetSong(toGateway(r), &songpb.GetSongRequest{Name: params["name"]})
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	output, err := masterOf(song, r.URL.Query().Get("format"), r.URL.Query().Get("take"))
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	a.serveArtifact(w, r, output.GetArtifact(), path.Base(output.GetFile()), "inline")
}

var playable = []string{"mp3", "flac", "wav", "ogg", "opus"}

func masterOf(song *songpb.Song, format, take string) (*songpb.Output, error) {
	masters, formats := map[string]*songpb.Output{}, []string(nil)
	for _, output := range song.GetOutputs() {
		if output.GetRole() == "master" && (take == "" && output.GetTake() <= 1 || take == fmt.Sprint(output.GetTake())) {
			kind := strings.TrimPrefix(path.Ext(output.GetFile()), ".")
			masters[kind] = output
			formats = append(formats, kind)
		}
	}
	if len(masters) == 0 && song.GetState() != songpb.Song_SUCCEEDED {
		return nil, refusal(codes.FailedPrecondition, "WRONG_STATE", "", "%s is %s: its master is there once it has succeeded", song.GetName(), song.GetState())
	}
	if len(masters) == 0 {
		return nil, refusal(codes.NotFound, "ARTIFACT_NOT_FOUND", "take", "%s has no take %s", song.GetName(), take)
	}
	if format == "" {
		for _, kind := range playable {
			if found, ok := masters[kind]; ok {
				return found, nil
			}
		}
	}
	if found, ok := masters[format]; ok {
		return found, nil
	}
	return nil, refusal(codes.InvalidArgument, "UNKNOWN_VALUE", "format", "format is %q: %s has %s", format, song.GetName(), strings.Join(formats, ", "))
}

func (a *API) serveArtifact(w http.ResponseWriter, r *http.Request, name, file, disposition string) {
	ctx, cancel := a.untilDrained(toGateway(r))
	defer cancel()
	artifact, err := a.artifacts.GetArtifact(ctx, &artifactpb.GetArtifactRequest{Name: name})
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	if strings.Count(r.Header.Get("Range"), ",") >= mostRanges {
		r.Header.Del("Range") // RFC 9110 §14.2: a server may ignore it
	}
	header := w.Header()
	header.Set("Content-Type", artifact.GetMediaType())
	header.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": file}))
	header.Set("Etag", `"`+artifact.GetSha256()+`"`)
	header.Set("Cache-Control", "private, immutable, max-age=31536000") // the name is the content
	body := &resumed{ctx: ctx, size: artifact.GetSizeBytes(), open: func(ctx context.Context, at int64) (func() ([]byte, error), error) {
		stream, err := a.artifacts.DownloadArtifact(ctx, &artifactpb.DownloadArtifactRequest{Name: name, Offset: at})
		return func() ([]byte, error) { message, err := stream.Recv(); return message.GetChunk(), err }, err
	}}
	defer body.close()
	http.ServeContent(paced{w}, r, "", artifact.GetCreateTime().AsTime(), body)
}

// paced gives a slow reader time for each piece, and no piece for ever.
type paced struct{ http.ResponseWriter }

func (p paced) Write(piece []byte) (int, error) {
	stillWriting(p.ResponseWriter)
	return p.ResponseWriter.Write(piece)
}

func (p paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// upload takes the file as the body: its Content-Type is the media type, Content-Digest (RFC 9530), where sent, is checked.
func (a *API) upload(w http.ResponseWriter, r *http.Request, _ map[string]string) {
	artifact, err := a.uploaded(w, r)
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	w.Header().Set("Location", "/v1/"+artifact.GetName())
	answer(w, r, http.StatusCreated, artifact)
}

func answer(w http.ResponseWriter, r *http.Request, status int, message proto.Message) {
	body, err := asJSON(message)
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// writeUpload goes on with an upload at the byte that its offset names.
func (a *API) writeUpload(w http.ResponseWriter, r *http.Request, params map[string]string) {
	offset, err := strconv.ParseInt(cmp.Or(r.URL.Query().Get("offset"), "0"), 10, 64)
	if err != nil {
		refusal(codes.InvalidArgument, "MALFORMED", "offset", "offset is %q: it must be a number", r.URL.Query().Get("offset")).write(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(toGateway(r), slowestUpload)
	defer cancel()
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(slowestUpload))
	stream, err := a.artifacts.WriteUpload(ctx)
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	header := &artifactpb.WriteUploadRequest_Header{Name: params["name"], Offset: offset}
	first := &artifactpb.WriteUploadRequest{Part: &artifactpb.WriteUploadRequest_Header_{Header: header}}
	next := func(chunk []byte) *artifactpb.WriteUploadRequest {
		return &artifactpb.WriteUploadRequest{Part: &artifactpb.WriteUploadRequest_Chunk{Chunk: chunk}}
	}
	if err := sendAll(stream.Send, first, next, http.MaxBytesReader(w, r.Body, largestUpload)); err != nil {
		problemOf(err).write(w, r)
		return
	}
	upload, err := stream.CloseAndRecv()
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	answer(w, r, http.StatusOK, upload)
}

func (a *API) uploaded(w http.ResponseWriter, r *http.Request) (*artifactpb.Artifact, error) {
	first, err := uploadHeader(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(toGateway(r), slowestUpload)
	defer cancel()
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(slowestUpload))
	stream, err := a.artifacts.UploadArtifact(ctx)
	if err != nil {
		return nil, err
	}
	part := &artifactpb.UploadArtifactRequest{Part: &artifactpb.UploadArtifactRequest_Header_{Header: first}}
	next := func(chunk []byte) *artifactpb.UploadArtifactRequest {
		return &artifactpb.UploadArtifactRequest{Part: &artifactpb.UploadArtifactRequest_Chunk{Chunk: chunk}}
	}
	if err := sendAll(stream.Send, part, next, http.MaxBytesReader(w, r.Body, largestUpload)); err != nil {
		return nil, err
	}
	return stream.CloseAndRecv()
}

// sendAll returns nil too when the gateway has answered before it had everything: its answer says why.
func sendAll[Part any](send func(Part) error, part Part, next func([]byte) Part, body io.Reader) error {
	chunk := make([]byte, chunkBytes)
	for {
		if err := send(part); err != nil {
			return nil
		}
		read, err := io.ReadFull(body, chunk)
		if read == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return unreadable(err)
		}
		part = next(chunk[:read])
	}
}

func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return refusal(codes.InvalidArgument, "TOO_LARGE", "body", "the file has more than %d bytes, which is the most there may be", int64(largestUpload))
	}
	return refusal(codes.InvalidArgument, "MALFORMED", "body", "the file did not arrive whole")
}

func uploadHeader(r *http.Request) (*artifactpb.UploadArtifactRequest_Header, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, refusal(codes.InvalidArgument, "MISSING", "Content-Type", "say by Content-Type what the file is, as in audio/wav")
	}
	if r.ContentLength == 0 {
		return nil, refusal(codes.InvalidArgument, "MISSING", "body", "the body is empty: send the file as it is")
	}
	if r.ContentLength > largestUpload {
		return nil, refusal(codes.InvalidArgument, "TOO_LARGE", "body", "the file has %d bytes: at most %d are taken", r.ContentLength, int64(largestUpload))
	}
	digest, err := digestOf(r.Header.Get("Content-Digest"))
	return &artifactpb.UploadArtifactRequest_Header{MediaType: kind, Sha256: digest, SizeBytes: max(r.ContentLength, 0)}, err
}

// digestOf reads `sha-256=:<base64>:`; other algorithms are left alone, as RFC 9530 §2 asks.
func digestOf(header string) (string, error) {
	for _, one := range strings.Split(header, ",") {
		value, ok := strings.CutPrefix(strings.TrimSpace(one), "sha-256=:")
		if !ok {
			continue
		}
		digest, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(value, ":"))
		if err != nil || len(digest) != 32 {
			return "", refusal(codes.InvalidArgument, "MALFORMED", "Content-Digest", "Content-Digest must be sha-256=:<base64 of 32 bytes>:")
		}
		return hex.EncodeToString(digest), nil
	}
	return "", nil
}
