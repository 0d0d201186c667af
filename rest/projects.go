package main

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	projectpb "harmonia/rest/gen/harmonia/project/v1"
)

// export serves the zip file of a project as a file like any other: what makes it up decides its ETag.
func (a *API) export(w http.ResponseWriter, r *http.Request, params map[string]string) {
	ctx, cancel := a.untilDrained(toGateway(r))
	defer cancel()
	zip := &exported{ctx: ctx, client: a.projects, name: params["name"]}
	defer zip.close()
	told, err := zip.begin()
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	if strings.Count(r.Header.Get("Range"), ",") > 0 {
		r.Header.Del("Range") // each part would be an export of its own
	}
	header := w.Header()
	header.Set("Content-Type", "application/zip")
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": told.GetFile()}))
	header.Set("Etag", `"`+told.GetExport()+`"`)
	header.Set("Cache-Control", "private, no-cache")
	http.ServeContent(paced{w}, r, "", time.Time{}, zip)
}

// exported is an export as http.ServeContent wants it: read from an offset. A read that the gateway breaks off goes on at
// the same byte, as long as the export is still the same.
type exported struct {
	ctx    context.Context
	client projectpb.ProjectServiceClient
	name   string
	id     string
	size   int64
	at     int64 // of the next byte
	opened int64 // of the next byte of the stream and what is left of it
	rest   []byte
	stream projectpb.ProjectService_ExportProjectClient
	cancel context.CancelFunc
}

// begin opens the stream where it is read next, and says what it is.
func (e *exported) begin() (*projectpb.Export, error) {
	ctx, cancel := context.WithCancel(e.ctx)
	e.cancel = cancel
	stream, err := e.client.ExportProject(ctx, &projectpb.ExportProjectRequest{Name: e.name, Offset: e.at, Export: e.id})
	if err != nil {
		return nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	e.opened = e.at
	e.stream, e.id, e.size = stream, first.GetExport().GetExport(), first.GetExport().GetSizeBytes()
	return first.GetExport(), nil
}

func (e *exported) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += e.at
	case io.SeekEnd:
		offset += e.size
	}
	if offset < 0 {
		return 0, errors.New("before the beginning")
	}
	e.at = offset
	return offset, nil
}

func (e *exported) Read(into []byte) (int, error) {
	for tries := 0; ; tries++ {
		if e.at >= e.size {
			return 0, io.EOF
		}
		if e.opened != e.at {
			e.close()
		}
		if len(e.rest) > 0 {
			read := copy(into, e.rest)
			e.rest, e.at = e.rest[read:], e.at+int64(read)
			e.opened = e.at
			return read, nil
		}
		err := e.next()
		if err == nil {
			continue
		}
		e.close()
		if tries >= 50 || !isAway(err) || !sleep(e.ctx, 200*time.Millisecond) {
			return 0, err
		}
	}
}

func (e *exported) next() error {
	if e.stream == nil {
		if _, err := e.begin(); err != nil {
			return err
		}
	}
	message, err := e.stream.Recv()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF // Read stops at the size
	}
	if err == nil {
		e.rest = message.GetChunk()
	}
	return err
}

func (e *exported) close() {
	if e.cancel != nil {
		e.cancel()
	}
	e.stream, e.cancel, e.rest = nil, nil, nil
}
