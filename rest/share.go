package main

import (
	"bytes"
	"context"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	sharepb "harmonia/rest/gen/harmonia/share/v1"
)

// linkShape is how the gateway writes a link's token: what looks otherwise opens nothing, and nobody needs to be asked.
var linkShape = regexp.MustCompile(`^hml_[0-9a-f]{32}_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$`)

var sharePage = template.Must(template.ParseFS(pages, "pages/share.html"))

type sharedPage struct {
	Title, Until string
	Files        []sharedLink
	Downloads    bool
}

type sharedLink struct{ URL, Name, Type string }

// share opens a link: the token in it is the whole right, and goes on to the gateway as a token of a user's would.
func (a *API) share(w http.ResponseWriter, r *http.Request) {
	token, name, inside := strings.Cut(strings.TrimPrefix(r.URL.Path, "/s/"), "/")
	note(r, map[bool]string{false: "/s/{link=*}", true: "/s/{link=*}/{file=*}"}[inside])
	header := w.Header()
	header.Set("Cache-Control", "private, no-cache")
	header.Set("X-Robots-Tag", "noindex")
	header.Set("Content-Security-Policy", policy)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		noSuchRoute(w, r, []string{http.MethodGet, http.MethodHead})
		return
	}
	if r.URL.RawQuery != "" || !linkShape.MatchString(token) {
		opensNothing(w)
		return
	}
	r.Header.Set("Authorization", "Bearer "+token)
	ctx, cancel := a.untilDrained(toGateway(r))
	defer cancel()
	song, err := a.shares.OpenShare(ctx, &sharepb.OpenShareRequest{Again: inside || goesOn(r)})
	if err != nil {
		a.refuseLink(w, r, err)
		return
	}
	if !inside && song.GetWhat() != sharepb.Share_AUDIO {
		showShared(w, token, song)
		return
	}
	for _, file := range song.GetFiles() {
		if !inside || file.GetFile() == name {
			a.serveShared(ctx, w, r, song, file)
			return
		}
	}
	opensNothing(w)
}

// refuseLink says the same of a link that has expired, was revoked, was tampered with or never was.
func (a *API) refuseLink(w http.ResponseWriter, r *http.Request, err error) {
	switch problem := problemOf(err); problem.Code {
	case "UNAUTHENTICATED", "NOT_FOUND", "PERMISSION_DENIED":
		opensNothing(w)
	default:
		problem.write(w, r)
	}
}

func opensNothing(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	show(w, http.StatusNotFound, sharedPage{})
}

func showShared(w http.ResponseWriter, token string, song *sharepb.SharedSong) {
	shown := sharedPage{
		Title:     song.GetTitle(),
		Until:     song.GetExpireTime().AsTime().Format("2 January 2006, 15:04 MST"),
		Downloads: song.GetWhat() == sharepb.Share_FORMATS,
	}
	for _, file := range song.GetFiles() {
		at := "/s/" + token + "/" + url.PathEscape(file.GetFile())
		shown.Files = append(shown.Files, sharedLink{at, file.GetFile(), file.GetMediaType()})
	}
	show(w, http.StatusOK, shown)
}

func show(w http.ResponseWriter, status int, shown sharedPage) {
	var page bytes.Buffer
	if err := sharePage.Execute(&page, shown); err != nil {
		panic(err) // our own page, and strings
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(page.Bytes())
}

func (a *API) serveShared(ctx context.Context, w http.ResponseWriter, r *http.Request, song *sharepb.SharedSong, file *sharepb.SharedFile) {
	body := &resumed{ctx: ctx, size: file.GetSizeBytes()}
	defer body.close()
	body.open = func(ctx context.Context, at int64) (func() ([]byte, error), error) {
		stream, err := a.shares.DownloadShared(ctx, &sharepb.DownloadSharedRequest{Format: file.GetFormat(), Offset: at})
		if err != nil {
			return nil, err
		}
		return func() ([]byte, error) {
			message, err := stream.Recv()
			return message.GetChunk(), err
		}, nil
	}
	if strings.Count(r.Header.Get("Range"), ",") >= mostRanges {
		r.Header.Del("Range") // RFC 9110 §14.2: a server may ignore it
	}
	disposition := map[bool]string{false: "inline", true: "attachment"}[song.GetWhat() == sharepb.Share_FORMATS]
	header := w.Header()
	header.Set("Content-Type", file.GetMediaType())
	header.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": file.GetFile()}))
	header.Set("Etag", `"`+file.GetSha256()+`"`)
	http.ServeContent(paced{w}, r, "", time.Time{}, body)
}

// goesOn says that the request is about something that was opened before: it does not count.
func goesOn(r *http.Request) bool {
	span := r.Header.Get("Range")
	return r.Method == http.MethodHead || (span != "" && !strings.HasPrefix(span, "bytes=0-"))
}
