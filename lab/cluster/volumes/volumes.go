// Package volumes keeps a few unclaimed hostPath volumes at hand in one lab site.
//
// The storage class has no provisioner; volumes are made ahead of claims and are kept
// when their claim goes (reclaim policy Retain), so new ones take their place.
package volumes

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const retry = time.Second

type keeper struct {
	client kubernetes.Interface
	site   string
	folder string
	class  string
	spare  int
	size   resource.Quantity
}

// Main is the program volumes.
func Main() {
	var k keeper
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig of the site")
	flag.StringVar(&k.site, "site", "", "first part of the volumes' names")
	flag.StringVar(&k.folder, "folder", "", "folder of the volumes' data")
	flag.StringVar(&k.class, "class", "lab", "storage class")
	flag.IntVar(&k.spare, "spare", 8, "unclaimed volumes to keep")
	size := flag.String("size", "10Gi", "capacity of each volume")
	flag.Parse()
	k.size = resource.MustParse(*size)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err == nil {
		k.client, err = kubernetes.NewForConfig(config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "volumes:", err)
		os.Exit(1)
	}
	for ctx.Err() == nil {
		if err := k.watch(ctx); err != nil {
			fmt.Fprintln(os.Stderr, time.Now().UTC().Format(time.RFC3339Nano), err)
			time.Sleep(retry)
		}
	}
}

// watch tops up now and after each change, until the watch ends.
func (k *keeper) watch(ctx context.Context) error {
	volumes := k.client.CoreV1().PersistentVolumes()
	list, err := k.topUp(ctx)
	if err != nil {
		return err
	}
	changes, err := volumes.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return err
	}
	defer changes.Stop()
	for range changes.ResultChan() {
		if _, err := k.topUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) topUp(ctx context.Context) (*corev1.PersistentVolumeList, error) {
	volumes := k.client.CoreV1().PersistentVolumes()
	list, err := volumes.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	taken := map[string]bool{}
	free := 0
	for _, volume := range list.Items {
		taken[volume.Name] = true
		unclaimed := volume.Spec.ClaimRef == nil && volume.Status.Phase != corev1.VolumeFailed
		if volume.Spec.StorageClassName == k.class && unclaimed {
			free++
		}
	}
	for number := 0; free < k.spare; number++ {
		name := fmt.Sprintf("%s-%d", k.site, number)
		if taken[name] {
			continue
		}
		if err := k.create(ctx, name); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
		free++
	}
	return list, nil
}

func (k *keeper) create(ctx context.Context, name string) error {
	path := filepath.Join(k.folder, name)
	// What an earlier volume of that name left is not for its next claim.
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	// Nothing sets the owner of a hostPath volume to the pod's group, and pods are not root.
	if err := os.Chmod(path, 0o777); err != nil {
		return err
	}
	directory := corev1.HostPathDirectory
	_, err := k.client.CoreV1().PersistentVolumes().Create(ctx, &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: k.size},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              k.class,
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: path, Type: &directory},
			},
		},
	}, metav1.CreateOptions{})
	return err
}
