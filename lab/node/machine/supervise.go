package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 5 * time.Second
	healthyAfter = 10 * time.Second
)

type running struct {
	program Program
	began   time.Time
	backoff time.Duration
}

type supervisor struct {
	sync.Mutex
	environment []string
	client      Client
	children    map[int]running
}

// supervise starts every program, starts it again when it ends, and reaps all that
// is left to process 1. It never returns.
func supervise(spec Spec) {
	s := &supervisor{environment: spec.Environment, client: spec.Client, children: map[int]running{}}
	ended := make(chan os.Signal, 64)
	signal.Notify(ended, syscall.SIGCHLD)
	// Process 1 of a namespace ends with its last terminal otherwise.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE)
	for _, program := range spec.Programs {
		go s.begin(program, firstBackoff)
	}
	for range ended {
		s.reap()
	}
}

func (s *supervisor) begin(program Program, backoff time.Duration) {
	s.await(program.After)
	// The lock is held over start and note, so that a child that ends at once is
	// known before it is reaped.
	s.Lock()
	defer s.Unlock()
	pid, err := s.spawn(program)
	if err != nil {
		say("%s did not start: %v", program.Name, err)
		go s.later(program, backoff)
		return
	}
	s.children[pid] = running{program: program, began: time.Now(), backoff: backoff}
}

func (s *supervisor) later(program Program, backoff time.Duration) {
	time.Sleep(backoff)
	s.begin(program, min(2*backoff, lastBackoff))
}

func (s *supervisor) spawn(program Program) (int, error) {
	log, err := os.OpenFile(filepath.Join("/var/log", program.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	process, err := os.StartProcess(program.Argv[0], program.Argv, &os.ProcAttr{
		Dir:   "/",
		Env:   s.environment,
		Files: []*os.File{null, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, err
	}
	pid := process.Pid
	return pid, process.Release()
}

func (s *supervisor) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		s.Lock()
		child, ours := s.children[pid]
		delete(s.children, pid)
		s.Unlock()
		if !ours {
			continue
		}
		say("%s ended: %s", child.program.Name, describe(status))
		backoff := child.backoff
		if time.Since(child.began) > healthyAfter {
			backoff = firstBackoff
		}
		go s.later(child.program, backoff)
	}
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}

func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, time.Now().UTC().Format(time.RFC3339Nano)+" "+format+"\n", values...)
}
