// Command machine makes one lab site behave like a machine of its own.
//
//	machine start SPEC   starts "run" in new mount, pid, uts and ipc namespaces
//	                     (in the network namespace of the caller), prints its
//	                     process id and returns
//	machine run SPEC     is process 1 of those namespaces: it gives the site its
//	                     own /run, /var/lib and /var/log, starts the programs of
//	                     the spec, starts them again when they end, and reaps
//
// Because everything of a site hangs on this one process, killing it is the loss
// of a whole site at once, and no mount outlives it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Spec is written by the driver; paths are those of the host.
type Spec struct {
	Hostname    string            `json:"hostname"`
	Environment []string          `json:"environment"`
	Root        string            `json:"root"`  // an empty folder to assemble the site's /run on
	Lib         string            `json:"lib"`   // becomes /var/lib
	Log         string            `json:"log"`   // becomes /var/log
	Binds       map[string]string `json:"binds"` // name under /run/wayfare -> file or folder of the host
	Sysctls     map[string]string `json:"sysctls"`
	Programs    []Program         `json:"programs"`
	Client      Client            `json:"client"`
}

// Client is how https conditions are asked; paths are those of the site.
type Client struct {
	Authority   string `json:"authority"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// Program is one supervised process; it starts when every condition in After holds:
// a host:port accepts TCP connections, an https URL answers 200.
type Program struct {
	Name  string   `json:"name"`
	Argv  []string `json:"argv"`
	After []string `json:"after"`
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: machine start|run SPEC"))
	}
	spec, err := read(os.Args[2])
	if err != nil {
		fail(err)
	}
	switch os.Args[1] {
	case "start":
		err = start(spec, os.Args[2])
	case "run":
		if err = assemble(spec); err == nil {
			supervise(spec)
		}
	default:
		err = fmt.Errorf("usage: machine start|run SPEC")
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "machine:", err)
	os.Exit(1)
}

func read(path string) (Spec, error) {
	var spec Spec
	text, err := os.ReadFile(path)
	if err != nil {
		return spec, err
	}
	return spec, json.Unmarshal(text, &spec)
}

func start(spec Spec, path string) error {
	log, err := os.OpenFile(filepath.Join(spec.Log, "machine.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	process, err := os.StartProcess("/proc/self/exe", []string{"machine", "run", path}, &os.ProcAttr{
		Dir:   "/",
		Env:   spec.Environment,
		Files: []*os.File{null, log, log},
		Sys: &syscall.SysProcAttr{
			Setsid:     true,
			Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		},
	})
	if err != nil {
		return err
	}
	fmt.Println(process.Pid)
	return process.Release()
}
