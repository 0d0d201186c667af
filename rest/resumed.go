package main

import (
	"context"
	"errors"
	"io"
	"time"
)

// resumed is what the gateway streams, as http.ServeContent wants it: read from any byte on, opened where it is read. A
// read that the gateway breaks off goes on at the same byte.
type resumed struct {
	ctx    context.Context
	open   func(ctx context.Context, at int64) (next func() ([]byte, error), err error)
	size   int64
	at     int64 // of the next byte
	opened int64 // where the stream, with what is left of it here, goes on
	rest   []byte
	next   func() ([]byte, error)
	cancel context.CancelFunc
}

func (s *resumed) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return 0, errors.New("before the beginning")
	}
	s.at = offset
	return offset, nil
}

func (s *resumed) Read(into []byte) (int, error) {
	for tries := 0; ; tries++ {
		if s.at >= s.size {
			return 0, io.EOF
		}
		if s.next != nil && s.opened != s.at {
			s.close()
		}
		if len(s.rest) > 0 {
			read := copy(into, s.rest)
			s.rest, s.at = s.rest[read:], s.at+int64(read)
			s.opened = s.at
			return read, nil
		}
		err := s.receive()
		if err == nil {
			continue
		}
		s.close()
		if tries >= 50 || !isAway(err) || !sleep(s.ctx, 200*time.Millisecond) {
			return 0, err
		}
	}
}

// begin opens the stream where it is read next.
func (s *resumed) begin() error {
	ctx, cancel := context.WithCancel(s.ctx)
	next, err := s.open(ctx, s.at)
	if err != nil {
		cancel()
		return err
	}
	s.next, s.cancel, s.opened = next, cancel, s.at
	return nil
}

func (s *resumed) receive() error {
	if s.next == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	piece, err := s.next()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF // Read stops at the size
	}
	s.rest = piece
	return err
}

func (s *resumed) close() {
	if s.cancel != nil {
		s.cancel()
	}
	s.next, s.cancel, s.rest = nil, nil, nil
}
