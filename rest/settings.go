package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

//go:embed settings.json
var settingsTable []byte

// Settings are read from HARMONIA_* once, at the start. The table in settings.json is also what docs/settings.md shows.
type Settings struct {
	Listen, HealthListen, MetricsListen string
	Gateway                             string
	CA                                  string
	TLSCert, TLSKey                     string
	Hosts, CORSOrigins                  []string
	TrustedProxies                      []netip.Prefix
	SessionKey, LinkFile, LinkToken     string
	ReadyFile                           string
	DrainGrace                          time.Duration
	Instance                            string
	OTLPEndpoint                        string
}

// readSettings reports every problem at once.
func readSettings(environment []string) (Settings, []string) {
	values, problems := known(environment)
	s := Settings{
		Listen: values["LISTEN"], HealthListen: values["HEALTH_LISTEN"], MetricsListen: values["METRICS_LISTEN"],
		Gateway: values["GATEWAY_PUBLIC_ADDRESS"], CA: values["TLS_CA"],
		TLSCert: values["HTTP_TLS_CERT"], TLSKey: values["HTTP_TLS_KEY"],
		Hosts: listed(values["HOSTS"]), CORSOrigins: listed(values["CORS_ORIGINS"]),
		SessionKey: values["SESSION_KEY"], LinkFile: values["LINK_FILE"], LinkToken: values["LINK_TOKEN"],
		ReadyFile: values["READY_FILE"], Instance: values["INSTANCE"], OTLPEndpoint: values["OTLP_ENDPOINT"],
	}
	if s.Instance == "" {
		s.Instance = fmt.Sprintf("rest-%d", os.Getpid())
	}
	grace, err := strconv.ParseFloat(values["DRAIN_GRACE_S"], 64)
	if err != nil || grace < 0 {
		problems = append(problems, fmt.Sprintf("HARMONIA_DRAIN_GRACE_S is %q: it must be a number of seconds", values["DRAIN_GRACE_S"]))
	}
	s.DrainGrace = time.Duration(grace * float64(time.Second))
	for _, text := range listed(values["TRUSTED_PROXIES"]) {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			problems = append(problems, fmt.Sprintf("HARMONIA_TRUSTED_PROXIES has %q: it must be a CIDR range", text))
		}
		s.TrustedProxies = append(s.TrustedProxies, network)
	}
	return s, append(problems, s.doors()...)
}

// doors says what is wrong with where the process listens: passwords and tokens cross no network in the clear.
func (s Settings) doors() []string {
	var problems []string
	if (s.TLSCert == "") != (s.TLSKey == "") {
		problems = append(problems, "HARMONIA_HTTP_TLS_CERT and HARMONIA_HTTP_TLS_KEY go together")
	}
	host, _, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return append(problems, fmt.Sprintf("HARMONIA_LISTEN is %q: it must be host:port", s.Listen))
	}
	if s.TLSCert == "" && !isLoopback(host) {
		problems = append(problems, fmt.Sprintf(
			"HARMONIA_LISTEN is %s, which others can reach: give it HARMONIA_HTTP_TLS_CERT and _KEY, or listen on 127.0.0.1", s.Listen))
	}
	return problems
}

func known(environment []string) (map[string]string, []string) {
	var table []struct{ Name, Default string }
	if err := json.Unmarshal(settingsTable, &table); err != nil {
		panic(err) // embedded at build time
	}
	values, problems := map[string]string{}, []string(nil)
	for _, row := range table {
		values[strings.TrimPrefix(row.Name, "HARMONIA_")] = strings.TrimPrefix(row.Default, "(required)")
	}
	for _, pair := range environment {
		name, value, _ := strings.Cut(pair, "=")
		short, ours := strings.CutPrefix(name, "HARMONIA_")
		if !ours {
			continue
		}
		if _, ok := values[short]; !ok {
			problems = append(problems, name+" is no setting of rest")
			continue
		}
		values[short] = value
	}
	for _, row := range table {
		if row.Default == "(required)" && values[strings.TrimPrefix(row.Name, "HARMONIA_")] == "" {
			problems = append(problems, row.Name+" is missing")
		}
	}
	return values, problems
}

func listed(text string) []string {
	var found []string
	for _, one := range strings.Split(text, ",") {
		if one = strings.TrimSpace(one); one != "" {
			found = append(found, one)
		}
	}
	return found
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
