package main

import (
	"context"
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
	var told *projectpb.Export
	zip := &resumed{ctx: ctx}
	defer zip.close()
	zip.open = func(ctx context.Context, at int64) (func() ([]byte, error), error) {
		request := &projectpb.ExportProjectRequest{Name: params["name"], Offset: at, Export: told.GetExport()}
		stream, err := a.projects.ExportProject(ctx, request)
		if err != nil {
			return nil, err
		}
		first, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		told = first.GetExport()
		return func() ([]byte, error) {
			message, err := stream.Recv()
			return message.GetChunk(), err
		}, nil
	}
	if err := zip.begin(); err != nil {
		problemOf(err).write(w, r)
		return
	}
	zip.size = told.GetSizeBytes()
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // each part would be an export of its own
	}
	header := w.Header()
	header.Set("Content-Type", "application/zip")
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": told.GetFile()}))
	header.Set("Etag", `"`+told.GetExport()+`"`)
	header.Set("Cache-Control", "private, no-cache")
	http.ServeContent(paced{w}, r, "", time.Time{}, zip)
}
