package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	songpb "harmonia/rest/gen/harmonia/song/v1"
)

const (
	frameRate  = 48000
	frameBytes = 4 // two channels of 16 bits
)

// heard is a song on its way to a listener: a WAV file whose end is not known when it begins.
type heard struct {
	w     http.ResponseWriter
	at    int64 // frame that comes next
	begun bool
}

// listen plays a song while it is made. When the gateway is started again it goes on at the next frame; what cannot go on
// is cut off, so that nobody takes it for the whole.
func (a *API) listen(w http.ResponseWriter, r *http.Request, name string) {
	request, err := listening(r, name)
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	ctx, cancel := a.untilDrained(toGateway(r))
	defer cancel()
	out := &heard{w: w, at: int64(math.Round(request.GetFromSeconds() * frameRate))}
	last := time.Now()
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		before := out.at
		err := a.play(ctx, request, out)
		if out.at != before {
			last, pause = time.Now(), 50*time.Millisecond
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case !out.begun:
			problemOf(err).write(w, r)
			return
		case !isAway(err) || time.Since(last) > longestGap || !sleep(ctx, pause):
			panic(http.ErrAbortHandler)
		}
		request.FromSeconds = float64(out.at) / frameRate
	}
}

func listening(r *http.Request, name string) (*songpb.ListenSongRequest, error) {
	query := r.URL.Query()
	if query.Has("format") {
		return nil, refusal(codes.InvalidArgument, "CONTRADICTORY", "format", "a song that is followed comes as WAV: leave format out")
	}
	request := &songpb.ListenSongRequest{Name: name}
	if query.Has("from_seconds") {
		seconds, err := strconv.ParseFloat(query.Get("from_seconds"), 64)
		if err != nil || math.IsNaN(seconds) || math.IsInf(seconds, 0) {
			return nil, refusal(codes.InvalidArgument, "MALFORMED", "from_seconds", "from_seconds is %q: it must be a number", query.Get("from_seconds"))
		}
		request.FromSeconds = seconds
	}
	if query.Has("take") {
		take, err := strconv.ParseInt(query.Get("take"), 10, 32)
		if err != nil {
			return nil, refusal(codes.InvalidArgument, "MALFORMED", "take", "take is %q: it must be a number", query.Get("take"))
		}
		request.Take = int32(take)
	}
	return request, nil
}

func (a *API) play(ctx context.Context, request *songpb.ListenSongRequest, out *heard) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := a.songs.ListenSong(ctx, request)
	if err != nil {
		return err
	}
	for {
		chunk, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := out.write(chunk); err != nil {
			return err
		}
	}
}

func (h *heard) write(chunk *songpb.AudioChunk) error {
	stillWriting(h.w)
	if !h.begun {
		h.begin(chunk.GetLength())
	}
	pcm := chunk.GetPcm()
	if again := (h.at - chunk.GetPosition()) * frameBytes; again > 0 {
		pcm = pcm[min(again, int64(len(pcm))):] // heard before the gateway went away
	}
	if _, err := h.w.Write(pcm); err != nil {
		return err
	}
	h.at += int64(len(pcm)) / frameBytes
	return http.NewResponseController(h.w).Flush()
}

// begin writes the header of RIFF/WAVE; players take the largest size for "until it ends".
func (h *heard) begin(length int64) {
	header := h.w.Header()
	header.Set("Content-Type", "audio/wav")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	h.w.WriteHeader(http.StatusOK)
	h.begun = true
	data := uint32(math.MaxUint32 - 36)
	if left := (length - h.at) * frameBytes; length > 0 && left < int64(data) {
		data = uint32(max(left, 0))
	}
	wav := append([]byte("RIFF"), binary.LittleEndian.AppendUint32(nil, data+36)...)
	wav = append(wav, "WAVEfmt "...)
	for _, number := range []uint32{16, 1 | 2<<16, frameRate, frameRate * frameBytes, frameBytes | 16<<16} {
		wav = binary.LittleEndian.AppendUint32(wav, number)
	}
	wav = append(wav, "data"...)
	h.w.Write(binary.LittleEndian.AppendUint32(wav, data))
}
