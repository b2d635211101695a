package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// The kubelet writes these for the whole kernel, and the kernel is shared with the
// host. It writes nothing where it already reads what it wants, so in the site these
// files are plain ones with that content, and the host's settings stay as they are.
var kernelTunables = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := syscall.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

// bind mounts a file or folder; the target is made when it does not exist.
func bind(source, target string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if _, missing := os.Stat(target); missing != nil {
		err = os.WriteFile(target, nil, 0o644)
	}
	if err != nil {
		return err
	}
	return mount(source, target, "", syscall.MS_BIND|syscall.MS_REC, "")
}

// assemble gives the site its own view of the file system.
func assemble(spec Spec) error {
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := forgetNamespaces(); err != nil {
		return err
	}
	// The binds' sources may lie below /run or /var/lib, which are hidden below, so
	// the new /run is filled first and moved into place afterwards.
	if err := mount("tmpfs", spec.Root, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	own := filepath.Join(spec.Root, "wayfare")
	if err := os.MkdirAll(own, 0o755); err != nil {
		return err
	}
	for name, source := range spec.Binds {
		if err := bind(source, filepath.Join(own, name)); err != nil {
			return err
		}
	}
	if err := bind(spec.Log, "/var/log"); err != nil {
		return err
	}
	lib, err := os.Open(spec.Lib)
	if err != nil {
		return err
	}
	defer lib.Close()
	if err := mount(spec.Root, "/run", "", syscall.MS_MOVE, ""); err != nil {
		return err
	}
	if err := bind(fmt.Sprintf("/proc/self/fd/%d", lib.Fd()), "/var/lib"); err != nil {
		return err
	}
	if err := mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return err
	}
	if err := set(spec.Sysctls); err != nil {
		return err
	}
	if err := hideTunables(); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte(spec.Hostname)); err != nil {
		return err
	}
	// Containers may ask for volumes with mount propagation; that needs shared mounts.
	return mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, "")
}

// forgetNamespaces drops this site's copies of the named network namespaces, which
// would otherwise keep those of other sites alive after their removal.
func forgetNamespaces() error {
	named, err := filepath.Glob("/run/netns/*")
	for _, path := range named {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil && err != syscall.EINVAL {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	return err
}

func set(sysctls map[string]string) error {
	for name, value := range sysctls {
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func hideTunables() error {
	for name, value := range kernelTunables {
		target := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(target); err != nil {
			continue
		}
		file := filepath.Join("/run/wayfare/tunables", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mount(file, target, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}
