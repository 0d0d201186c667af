package main

import (
	"bytes"
	"errors"
	"io"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// errNoBody is no io.EOF on purpose: grpc-gateway takes that for an empty message.
var errNoBody = errors.New("the body is empty: send a JSON object, {} at least")

// codec is JSON as everywhere in Harmonia: names as in the contracts, unknown ones refused, nothing that is not set.
type codec struct{ runtime.JSONPb }

func newCodec() *codec {
	return &codec{runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{UseProtoNames: true}}}
}

func (c *codec) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		body, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(body)) == 0 {
			return errNoBody
		}
		message, ok := v.(proto.Message)
		if !ok {
			return c.JSONPb.Unmarshal(body, v)
		}
		return protojson.UnmarshalOptions{}.Unmarshal(body, message)
	})
}

func asJSON(message proto.Message) ([]byte, error) {
	return protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
}
