package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"harmonia/rest/gen/harmonia/capability/v1"
)

const (
	sessionLife = 24 * time.Hour
	linkLife    = 60 * time.Second
)

// Sessions are for browsers, which keep no token: the bearer token lies sealed in a cookie that scripts cannot read and
// other sites cannot send. One is opened by the one-time link of a home, or by a token.
type Sessions struct {
	guard        guard
	seal         cipher.AEAD // nil: no sessions
	link, token  string      // files
	capabilities capabilitypb.CapabilityServiceClient
	now          func() time.Time
}

type session struct {
	Token   string `json:"token"`
	Expires int64  `json:"expires"`
}

func openSessions(s Settings, g guard, door *Door) (*Sessions, error) {
	sessions := &Sessions{guard: g, link: s.LinkFile, token: s.LinkToken, capabilities: capabilitypb.NewCapabilityServiceClient(door), now: time.Now}
	if s.SessionKey == "" {
		return sessions, nil
	}
	key, err := os.ReadFile(s.SessionKey)
	if err != nil {
		return nil, err
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("%s has %d bytes: it must have 32", s.SessionKey, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	sessions.seal, err = cipher.NewGCM(block)
	return sessions, err
}

// recognise turns the cookie of one of our own pages into the bearer token it holds; a token that was sent wins.
func (s *Sessions) recognise(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			if found, ok := s.read(r); ok && s.guard.isOwnPage(r) {
				r.Header.Set("Authorization", "Bearer "+found.Token)
			}
		}
		r.Header.Del("Cookie")
		next.ServeHTTP(w, r)
	})
}

func (s *Sessions) serve(w http.ResponseWriter, r *http.Request) {
	note(r, r.URL.Path)
	w.Header().Set("Cache-Control", "no-store")
	if s.seal == nil {
		refusal(codes.NotFound, "METHOD_NOT_FOUND", "", "this server keeps no sessions: HARMONIA_SESSION_KEY names its key").write(w, r)
		return
	}
	switch r.Method {
	case http.MethodPost:
		s.open(w, r)
	case http.MethodDelete:
		s.set(w, "", -1)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Sessions) open(w http.ResponseWriter, r *http.Request) {
	if !s.guard.isOwnPage(r) && r.Header.Get("Origin") != "" {
		refusal(codes.PermissionDenied, "CALLER_REFUSED", "Origin", "a session is opened by a page of this server").write(w, r)
		return
	}
	token, err := s.asked(w, r)
	if err != nil {
		problemOf(err).write(w, r)
		return
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if _, err := s.capabilities.GetCapabilities(toGateway(r), &capabilitypb.GetCapabilitiesRequest{}); problemOf(err).Code == "UNAUTHENTICATED" {
		problemOf(err).write(w, r)
		return
	}
	body, err := json.Marshal(session{token, s.now().Add(sessionLife).Unix()})
	if err != nil {
		panic(err) // a string and a number
	}
	nonce := random(s.seal.NonceSize())
	sealed := base64.RawURLEncoding.EncodeToString(s.seal.Seal(nonce, nonce, body, []byte(s.cookie())))
	s.set(w, sealed, int(sessionLife.Seconds()))
	w.WriteHeader(http.StatusNoContent)
}

// asked is the token that the session is for: the one that was sent, or the home's own when the link is good.
func (s *Sessions) asked(w http.ResponseWriter, r *http.Request) (string, error) {
	var body struct{ Link, Token string }
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		return "", refusal(codes.InvalidArgument, "MALFORMED", "", `send {"link": "…"} or {"token": "…"}`)
	}
	if body.Token != "" && body.Link == "" {
		return body.Token, nil
	}
	if body.Link == "" || !s.redeem(body.Link) {
		return "", refusal(codes.Unauthenticated, "TOKEN_EXPIRED", "link", "this link was used, or is older than %g s: start harmonia up again for another, or sign in with a token", linkLife.Seconds())
	}
	token, err := os.ReadFile(s.token)
	return strings.TrimSpace(string(token)), err
}

// redeem is true once: whoever renames the file first has the link.
func (s *Sessions) redeem(link string) bool {
	text, err := os.ReadFile(s.link)
	if err != nil {
		return false
	}
	var kept struct {
		SHA256  string  `json:"sha256"`
		Expires float64 `json:"expires"`
	}
	digest := sha256.Sum256([]byte(link))
	if json.Unmarshal(text, &kept) != nil || subtle.ConstantTimeCompare([]byte(kept.SHA256), []byte(hex.EncodeToString(digest[:]))) != 1 {
		return false
	}
	used := s.link + ".used"
	if os.Rename(s.link, used) != nil {
		return false
	}
	os.Remove(used)
	return float64(s.now().Unix()) < kept.Expires
}

func (s *Sessions) read(r *http.Request) (session, bool) {
	cookie, err := r.Cookie(s.cookie())
	if err != nil || s.seal == nil {
		return session{}, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || len(sealed) < s.seal.NonceSize() {
		return session{}, false
	}
	nonce, text := sealed[:s.seal.NonceSize()], sealed[s.seal.NonceSize():]
	body, err := s.seal.Open(nil, nonce, text, []byte(s.cookie()))
	var found session
	if err != nil || json.Unmarshal(body, &found) != nil {
		return session{}, false
	}
	return found, s.now().Unix() < found.Expires
}

func (s *Sessions) set(w http.ResponseWriter, value string, maxAgeS int) {
	http.SetCookie(w, &http.Cookie{
		Name: s.cookie(), Value: value, Path: "/", MaxAge: maxAgeS,
		HttpOnly: true, Secure: s.guard.secure, SameSite: http.SameSiteStrictMode,
	})
}

func (s *Sessions) cookie() string {
	if s.guard.secure {
		return "__Host-harmonia"
	}
	return "harmonia"
}
