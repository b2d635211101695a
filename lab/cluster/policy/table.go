package policy

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// World is all that a table is made from.
type World struct {
	Pods       []*corev1.Pod
	Namespaces map[string]labels.Set
	Policies   []*networkingv1.NetworkPolicy
	DNS        string // the node's address, on whose port 53 the cluster's DNS answers
}

const (
	ingress = "in"
	egress  = "out"
)

// Table is the text that nft loads: one chain for each pod and direction that a
// policy isolates. A chain returns for what a policy allows and ends in drop; the
// hooks look only at new connections. What the node itself sends to a pod (probes)
// passes neither hook, as NetworkPolicy wants it; what a pod sends to the node (the
// API server, DNS) passes input, so egress is looked at there as well.
func Table(world World) (string, error) {
	chains := map[string][]string{}
	maps := map[string][]string{ingress: nil, egress: nil}
	for _, pod := range world.live() {
		for _, direction := range []string{ingress, egress} {
			rules, isolated, err := world.rules(pod, direction)
			if err != nil {
				return "", err
			}
			if !isolated {
				continue
			}
			name := direction + "-" + strings.ReplaceAll(pod.Status.PodIP, ".", "-")
			chains[name] = rules
			maps[direction] = append(maps[direction], fmt.Sprintf("%s : jump %s", pod.Status.PodIP, name))
		}
	}
	return render(chains, maps), nil
}

func render(chains map[string][]string, maps map[string][]string) string {
	var out strings.Builder
	out.WriteString("add table ip wayfare\ndelete table ip wayfare\ntable ip wayfare {\n")
	names := make([]string, 0, len(chains))
	for name := range chains {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&out, "\tchain %s {\n", name)
		slices.Sort(chains[name])
		for _, rule := range slices.Compact(chains[name]) {
			fmt.Fprintf(&out, "\t\t%s return\n", rule)
		}
		out.WriteString("\t\tdrop\n\t}\n")
	}
	hook := func(name string, directions ...string) {
		fmt.Fprintf(&out, "\tchain %s {\n\t\ttype filter hook %s priority filter; policy accept;\n", name, name)
		out.WriteString("\t\tct state established,related accept\n")
		for _, direction := range directions {
			if len(maps[direction]) == 0 {
				continue
			}
			slices.Sort(maps[direction])
			address := map[string]string{ingress: "daddr", egress: "saddr"}[direction]
			fmt.Fprintf(&out, "\t\tip %s vmap { %s }\n", address, strings.Join(maps[direction], ", "))
		}
		out.WriteString("\t}\n")
	}
	hook("forward", egress, ingress)
	hook("input", egress)
	out.WriteString("}\n")
	return out.String()
}

// live pods have an address of their own and still run.
func (w World) live() []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range w.Pods {
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !ended {
			pods = append(pods, pod)
		}
	}
	return pods
}

// dns stands for the DNS pods that a cluster has in kube-system: in the lab it is a
// process of the node, and policies that allow it by its usual labels must reach it.
func (w World) dns() []*corev1.Pod {
	if w.DNS == "" {
		return nil
	}
	pod := &corev1.Pod{}
	pod.Namespace = "kube-system"
	pod.Labels = map[string]string{"k8s-app": "kube-dns"}
	pod.Status.PodIP = w.DNS
	pod.Spec.Containers = []corev1.Container{{Ports: []corev1.ContainerPort{
		{Name: "dns", Protocol: corev1.ProtocolUDP, ContainerPort: 53},
		{Name: "dns-tcp", Protocol: corev1.ProtocolTCP, ContainerPort: 53},
	}}}
	return []*corev1.Pod{pod}
}

// rules are the matches of what may pass for one pod and direction, and whether any
// policy isolates it.
func (w World) rules(pod *corev1.Pod, direction string) ([]string, bool, error) {
	var rules []string
	isolated := false
	for _, policy := range w.Policies {
		applies, err := selects(&policy.Spec.PodSelector, pod.Labels)
		if err != nil {
			return nil, false, err
		}
		if policy.Namespace != pod.Namespace || !applies || !governs(policy, direction) {
			continue
		}
		isolated = true
		add := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) error {
			made, err := w.rule(policy.Namespace, pod, direction, peers, ports)
			rules = append(rules, made...)
			return err
		}
		if direction == ingress {
			for _, rule := range policy.Spec.Ingress {
				if err := add(rule.From, rule.Ports); err != nil {
					return nil, false, err
				}
			}
			continue
		}
		for _, rule := range policy.Spec.Egress {
			if err := add(rule.To, rule.Ports); err != nil {
				return nil, false, err
			}
		}
	}
	return rules, isolated, nil
}

func governs(policy *networkingv1.NetworkPolicy, direction string) bool {
	if len(policy.Spec.PolicyTypes) == 0 {
		return direction == ingress || len(policy.Spec.Egress) > 0
	}
	wanted := networkingv1.PolicyTypeIngress
	if direction == egress {
		wanted = networkingv1.PolicyTypeEgress
	}
	return slices.Contains(policy.Spec.PolicyTypes, wanted)
}

// peer is an address match, with the pod behind it where there is one (for ports
// that are given by name).
type peer struct {
	match string
	pod   *corev1.Pod
}

func (w World) rule(namespace string, pod *corev1.Pod, direction string,
	from []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) ([]string, error) {
	side := map[string]string{ingress: "saddr", egress: "daddr"}[direction]
	peers := []peer{{}}
	if len(from) > 0 {
		peers = nil
	}
	for _, one := range from {
		if block := one.IPBlock; block != nil {
			if strings.Contains(block.CIDR, ":") {
				continue // the lab has IPv4 only: nothing can come from there or go there
			}
			match := fmt.Sprintf("ip %s %s", side, block.CIDR)
			if len(block.Except) > 0 {
				match += fmt.Sprintf(" ip %s != { %s }", side, strings.Join(block.Except, ", "))
			}
			peers = append(peers, peer{match: match})
			continue
		}
		selected, err := w.selected(namespace, one)
		if err != nil {
			return nil, err
		}
		for _, other := range selected {
			peers = append(peers, peer{match: fmt.Sprintf("ip %s %s", side, other.Status.PodIP), pod: other})
		}
	}
	var rules []string
	for _, one := range peers {
		if one.pod != nil && one.pod.Status.PodIP == w.DNS {
			rules = append(rules, dnsRules(one, ports)...)
			continue
		}
		if len(ports) == 0 {
			rules = append(rules, one.match)
		}
		for _, port := range ports {
			target := pod
			if direction == egress {
				target = one.pod
			}
			if match, ok := portMatch(port, target); ok {
				rules = append(rules, strings.TrimSpace(one.match+" "+match))
			}
		}
	}
	return rules, nil
}

func (w World) selected(namespace string, from networkingv1.NetworkPolicyPeer) ([]*corev1.Pod, error) {
	var pods []*corev1.Pod
	for _, pod := range append(w.live(), w.dns()...) {
		inNamespace := pod.Namespace == namespace
		if from.NamespaceSelector != nil {
			chosen, err := selects(from.NamespaceSelector, w.Namespaces[pod.Namespace])
			if err != nil {
				return nil, err
			}
			inNamespace = chosen
		}
		if !inNamespace {
			continue
		}
		chosen := true
		if from.PodSelector != nil {
			var err error
			if chosen, err = selects(from.PodSelector, pod.Labels); err != nil {
				return nil, err
			}
		}
		if chosen {
			pods = append(pods, pod)
		}
	}
	return pods, nil
}

func selects(selector *metav1.LabelSelector, set labels.Set) (bool, error) {
	compiled, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return compiled.Matches(set), nil
}

// dnsRules let through DNS only, whatever else a policy allows: the address is the node's.
func dnsRules(dns peer, ports []networkingv1.NetworkPolicyPort) []string {
	if len(ports) == 0 {
		return []string{dns.match + " tcp dport 53", dns.match + " udp dport 53"}
	}
	var rules []string
	for _, port := range ports {
		protocol := corev1.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		covers := port.Port == nil
		switch {
		case covers:
		case port.Port.Type == intstr.String:
			match, named := portMatch(port, dns.pod)
			covers = named && strings.HasSuffix(match, " dport 53")
		case port.EndPort != nil:
			covers = port.Port.IntVal <= 53 && 53 <= *port.EndPort
		default:
			covers = port.Port.IntVal == 53
		}
		if covers {
			rules = append(rules, fmt.Sprintf("%s %s dport 53", dns.match, strings.ToLower(string(protocol))))
		}
	}
	return rules
}

// portMatch is false for a port name that the target does not have.
func portMatch(port networkingv1.NetworkPolicyPort, target *corev1.Pod) (string, bool) {
	protocol := corev1.ProtocolTCP
	if port.Protocol != nil {
		protocol = *port.Protocol
	}
	kind := strings.ToLower(string(protocol))
	if port.Port == nil {
		return "meta l4proto " + kind, true
	}
	if port.Port.Type == intstr.Int {
		if port.EndPort != nil {
			return fmt.Sprintf("%s dport %d-%d", kind, port.Port.IntVal, *port.EndPort), true
		}
		return fmt.Sprintf("%s dport %d", kind, port.Port.IntVal), true
	}
	if target == nil {
		return "", false
	}
	for _, container := range target.Spec.Containers {
		for _, named := range container.Ports {
			if named.Name == port.Port.StrVal && named.Protocol == protocol {
				return fmt.Sprintf("%s dport %d", kind, named.ContainerPort), true
			}
		}
	}
	return "", false
}
