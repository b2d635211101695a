package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	askEvery   = 50 * time.Millisecond
	askTimeout = 2 * time.Second
)

// await returns when every condition held once, in their order.
func (s *supervisor) await(conditions []string) {
	for _, condition := range conditions {
		ask := accepts
		if strings.HasPrefix(condition, "https://") {
			ask = s.client.answers()
		}
		for !ask(condition) {
			time.Sleep(askEvery)
		}
	}
}

func accepts(address string) bool {
	connection, err := net.DialTimeout("tcp", address, askTimeout)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

// answers is a condition that asks with the client's certificate. A file that cannot
// be read makes it never hold, and the reason is said once.
func (c Client) answers() func(string) bool {
	authority, err := os.ReadFile(c.Authority)
	if err != nil {
		say("%v", err)
	}
	pair, err := tls.LoadX509KeyPair(c.Certificate, c.Key)
	if err != nil {
		say("%v", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := &http.Client{
		Timeout: askTimeout,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
			DisableKeepAlives: true,
		},
	}
	return func(url string) bool {
		answer, err := client.Get(url)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
}
