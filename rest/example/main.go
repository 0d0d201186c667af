// A program of a stranger's: composes a song over gRPC, watches it, saves its files. All it needs is the generated
// stubs, the address of the public door, the CA of the mesh and a token.
//
//	go run ./example -server 127.0.0.1:7443 -ca ca.pem -token-file user.token -out song "lo-fi rain on a window"
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	artifactpb "harmonia/rest/gen/harmonia/artifact/v1"
	songpb "harmonia/rest/gen/harmonia/song/v1"
)

var (
	server    = flag.String("server", "127.0.0.1:7443", "host:port of the public door")
	ca        = flag.String("ca", "ca.pem", "CA of the mesh")
	tokenFile = flag.String("token-file", "user.token", "your token")
	out       = flag.String("out", "song", "folder to save the song in")
	seconds   = flag.Float64("seconds", 20, "length")
)

func main() {
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	connection, err := dial()
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()
	songs := songpb.NewSongServiceClient(connection)
	song, err := songs.CreateSong(ctx, &songpb.CreateSongRequest{
		Spec:      &songpb.SongSpec{Prompt: strings.Join(flag.Args(), " "), DurationSeconds: seconds},
		RequestId: fmt.Sprintf("example-%d", time.Now().UnixNano()),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(song.GetName())
	if song, err = watch(ctx, songs, song.GetName()); err != nil {
		log.Fatal(err)
	}
	for _, output := range song.GetOutputs() {
		if err := download(ctx, artifactpb.NewArtifactServiceClient(connection), output); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("saved %d files\n", len(song.GetOutputs()))
}

type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

func dial() (*grpc.ClientConn, error) {
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(*tokenFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return grpc.NewClient(*server,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool})),
		grpc.WithPerRPCCredentials(bearer(strings.TrimSpace(string(token)))),
	)
}

// watch returns the song once it has ended; a stream that breaks is opened again after the last event.
func watch(ctx context.Context, songs songpb.SongServiceClient, name string) (*songpb.Song, error) {
	token := ""
	for {
		stream, err := songs.WatchSong(ctx, &songpb.WatchSongRequest{Name: name, ResumeToken: token})
		for err == nil {
			var event *songpb.SongEvent
			if event, err = stream.Recv(); err == nil {
				token = event.GetResumeToken()
				if song := event.GetSong(); song != nil {
					fmt.Println(song.GetState())
				}
				if progress := event.GetProgress(); progress != nil {
					fmt.Printf("%s %.0f %%\n", progress.GetStage(), 100*progress.GetProgress())
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return songs.GetSong(ctx, &songpb.GetSongRequest{Name: name}, grpc.WaitForReady(true))
		}
		if status.Code(err) != codes.Unavailable {
			return nil, err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func download(ctx context.Context, artifacts artifactpb.ArtifactServiceClient, output *songpb.Output) error {
	stream, err := artifacts.DownloadArtifact(ctx, &artifactpb.DownloadArtifactRequest{Name: output.GetArtifact()}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	path := filepath.Join(*out, filepath.FromSlash(output.GetFile()))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	digest := sha256.New()
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if _, err := io.MultiWriter(file, digest).Write(message.GetChunk()); err != nil {
			return err
		}
	}
	if hex.EncodeToString(digest.Sum(nil)) != output.GetSha256() {
		return fmt.Errorf("%s did not arrive as it was sent", output.GetFile())
	}
	return file.Close()
}
