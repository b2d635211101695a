// Command testserver is the one program in the image of the lab's own tests.
//
//	testserver serve            answers HTTP on :8080 with its pod's name
//	testserver get URL          prints what URL answers; exit code 1 when it does not
//	testserver count FILE       adds one to the number in FILE, then serves it
//	testserver sleep            waits to be stopped
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: testserver serve|get URL|count FILE|sleep")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(command string, arguments []string) error {
	switch {
	case command == "serve":
		name, _ := os.Hostname()
		return serve(name)
	case command == "get" && len(arguments) == 1:
		return get(arguments[0])
	case command == "count" && len(arguments) == 1:
		text, err := count(arguments[0])
		if err != nil {
			return err
		}
		return serve(text)
	case command == "sleep":
		stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		<-stopped.Done()
		return nil
	}
	return fmt.Errorf("unknown command %q", command)
}

func serve(text string) error {
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	server := &http.Server{Addr: ":8080", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path)
		fmt.Fprintln(w, text)
	})}
	go func() {
		<-stopped.Done()
		server.Close()
	}()
	fmt.Println("serving", text)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func get(url string) error {
	client := &http.Client{Timeout: 1500 * time.Millisecond}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func count(path string) (string, error) {
	number := 0
	if text, err := os.ReadFile(path); err == nil {
		number, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	text := strconv.Itoa(number + 1)
	return text, os.WriteFile(path, []byte(text), 0o644)
}
