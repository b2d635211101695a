// Package policy enforces NetworkPolicies in one lab site.
//
// It is for the lab only: the CNI plugin there routes every packet of a pod through
// the node and enforces nothing. This watches pods, namespaces and policies, writes
// one nftables table that stands for all of them, and replaces it as a whole when it
// changes. Between the start of a pod and the next table, the pod is not restricted.
package policy

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	settle = 20 * time.Millisecond
	retry  = time.Second
)

// Main is the program network-policy.
func Main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig of the site")
	dns := flag.String("dns-address", "", "address of the node, where DNS answers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *dns); err != nil {
		fmt.Fprintln(os.Stderr, "network-policy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig, dns string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	notify := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    notify,
		UpdateFunc: func(_, latest any) { notify(latest) },
		DeleteFunc: notify,
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	world := func() (World, error) {
		w := World{DNS: dns}
		if w.Pods, err = pods.Lister().List(labels.Everything()); err != nil {
			return w, err
		}
		var all []*corev1.Namespace
		if all, err = namespaces.Lister().List(labels.Everything()); err != nil {
			return w, err
		}
		w.Namespaces = map[string]labels.Set{}
		for _, namespace := range all {
			w.Namespaces[namespace.Name] = namespace.Labels
		}
		var listed []*networkingv1.NetworkPolicy
		listed, err = policies.Lister().List(labels.Everything())
		w.Policies = listed
		return w, err
	}
	return loop(ctx, changed, notify, world)
}

func loop(ctx context.Context, changed chan struct{}, notify func(any), world func() (World, error)) error {
	applied := ""
	notify(nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
		time.Sleep(settle)
		now, err := world()
		if err != nil {
			return err
		}
		table, err := Table(now)
		if err == nil && table != applied {
			if err = load(ctx, table); err == nil {
				applied = table
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, time.Now().UTC().Format(time.RFC3339Nano), err)
			time.AfterFunc(retry, func() { notify(nil) })
		}
	}
}

// load replaces the table in one nftables transaction.
func load(ctx context.Context, table string) error {
	command := exec.CommandContext(ctx, "nft", "-f", "-")
	command.Stdin = bytes.NewBufferString(table)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, output)
	}
	return nil
}
