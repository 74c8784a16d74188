package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type kube struct {
	base string
	hc   *http.Client
}

func newKube() *kube {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64}
	return &kube{*fKube, &http.Client{Transport: bearer{tr}}}
}

// bearer adds the API server's token to each request.
type bearer struct{ next http.RoundTripper }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+*fKToken)
	return b.next.RoundTrip(r)
}

func (k *kube) do(method, path, ct, body string) (int, []byte, error) {
	rq, _ := http.NewRequest(method, k.base+path, strings.NewReader(body))
	if ct != "" {
		rq.Header.Set("Content-Type", ct)
	}
	rs, err := k.hc.Do(rq)
	if err != nil {
		return 0, nil, err
	}
	defer rs.Body.Close()
	b, _ := io.ReadAll(rs.Body)
	return rs.StatusCode, b, nil
}
func (k *kube) must(method, path, ct, body string, okCodes ...int) []byte {
	c, b, err := k.do(method, path, ct, body)
	if err != nil {
		fmt.Fprintln(os.Stderr, method, path, err)
		os.Exit(1)
	}
	if c/100 == 2 || (c == 409 && method == "POST") || (c == 404 && method == "DELETE") {
		return b
	}
	fmt.Fprintln(os.Stderr, method, path, c, string(b[:min(len(b), 600)]))
	os.Exit(1)
	return nil
}
func (k *kube) post(path, body string) { k.must("POST", path, "application/json", body) }
func (k *kube) merge(path, body string) {
	k.must("PATCH", path, "application/merge-patch+json", body)
}
func (k *kube) del(path string) { k.must("DELETE", path, "", "") }

// watcher records the time at which a raw watch first shows the marker.
type watcher struct {
	mu     sync.Mutex
	marker []byte
	t0     time.Time
	at     atomic.Int64
}

func (k *kube) watch(ctx context.Context, path string) *watcher {
	w := &watcher{}
	rq, _ := http.NewRequestWithContext(ctx, "GET", k.base+path, nil)
	rs, err := k.hc.Do(rq)
	if err != nil || rs.StatusCode != 200 {
		fmt.Fprintln(os.Stderr, "watch", path, err, rs)
		return w
	}
	go func() {
		defer rs.Body.Close()
		sc := bufio.NewScanner(rs.Body)
		sc.Buffer(make([]byte, 1<<20), 64<<20)
		for sc.Scan() {
			now := time.Now()
			w.mu.Lock()
			if w.marker != nil && bytes.Contains(sc.Bytes(), w.marker) && w.at.Load() == 0 {
				w.at.Store(int64(now.Sub(w.t0)))
			}
			w.mu.Unlock()
		}
	}()
	return w
}
func (w *watcher) arm(m string, t0 time.Time) {
	w.mu.Lock()
	w.marker, w.t0 = []byte(m), t0
	w.at.Store(0)
	w.mu.Unlock()
}

const nNS = 20

type podRef struct{ name, ns, ip, svc, version, node string }

func nsName(i int) string { return fmt.Sprintf("app-%02d", i%nNS) }
func ipFor(i int) string {
	return fmt.Sprintf("10.%d.%d.%d", 100+i/22500, 100+(i/150)%150, 100+i%150)
}
func svcName(s int) string { return fmt.Sprintf("svc-%05d", s) }

// pod returns pod r of service s, which has m pods.
func pod(s, r, m int) podRef {
	v := "v1"
	if r%2 == 1 {
		v = "v2"
	}
	i := s*m + r
	return podRef{name: fmt.Sprintf("%s-5d8f-%03d", svcName(s), r), ns: nsName(s), ip: ipFor(i), svc: svcName(s), version: v, node: fmt.Sprintf("node-%d", i%10)}
}

func podJSON(p podRef) string {
	ann, lab := "", ""
	if *fAmbient {
		ann = `"ambient.istio.io/redirection":"enabled",`
	} else {
		lab = `"security.istio.io/tlsMode":"istio",`
	}
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":%q,"namespace":%q,"labels":{"app":%q,"version":%q,%s"pod-template-hash":"5d8f","service.istio.io/canonical-name":%q,"service.istio.io/canonical-revision":%q},"annotations":{%s"kubectl.kubernetes.io/default-container":"app"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"%s-5d8f","uid":"11111111-1111-1111-1111-111111111111","controller":true,"blockOwnerDeletion":true}]},"spec":{"nodeName":%q,"serviceAccountName":%q,"containers":[{"name":"app","image":"registry.example/app:1.0","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"}],"env":[{"name":"A","value":"b"}],"resources":{"requests":{"cpu":"100m","memory":"128Mi"}},"readinessProbe":{"httpGet":{"path":"/ready","port":8080}}}]}}`,
		p.name, p.ns, p.svc, p.version, lab, p.svc, p.version, ann, p.svc, p.node, p.svc)
}
func podStatus(p podRef) string {
	t := "2026-01-01T00:00:00Z"
	return fmt.Sprintf(`{"status":{"phase":"Running","podIP":%q,"podIPs":[{"ip":%q}],"hostIP":"172.18.0.2","hostIPs":[{"ip":"172.18.0.2"}],"startTime":%q,"qosClass":"Burstable","conditions":[{"type":"Initialized","status":"True","lastTransitionTime":%q},{"type":"Ready","status":"True","lastTransitionTime":%q},{"type":"ContainersReady","status":"True","lastTransitionTime":%q},{"type":"PodScheduled","status":"True","lastTransitionTime":%q}],"containerStatuses":[{"name":"app","ready":true,"restartCount":0,"image":"registry.example/app:1.0","imageID":"x","state":{"running":{"startedAt":%q}}}]}}`,
		p.ip, p.ip, t, t, t, t, t, t)
}
func svcJSON(name, ns string, tcp bool) string {
	x := ""
	if tcp {
		x = `,{"name":"tcp-db","port":5432,"targetPort":8080,"protocol":"TCP"}`
	}
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Service","metadata":{"name":%q,"namespace":%q,"labels":{"app":%q}},"spec":{"selector":{"app":%q},"ports":[{"name":"http","port":80,"targetPort":8080,"protocol":"TCP"}%s]}}`, name, ns, name, name, x)
}
func epJSON(p podRef) string {
	return fmt.Sprintf(`{"addresses":[%q],"conditions":{"ready":true,"serving":true,"terminating":false},"nodeName":%q,"targetRef":{"kind":"Pod","name":%q,"namespace":%q},"zone":"zone-1"}`, p.ip, p.node, p.name, p.ns)
}
func sliceJSON(name, ns string, tcp bool, ps []podRef) string {
	var eps []string
	for _, p := range ps {
		eps = append(eps, epJSON(p))
	}
	x := ""
	if tcp {
		x = `,{"name":"tcp-db","port":8080,"protocol":"TCP"}`
	}
	return fmt.Sprintf(`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"%s-abcde","namespace":%q,"labels":{"kubernetes.io/service-name":%q,"endpointslice.kubernetes.io/managed-by":"endpointslice-controller.k8s.io"}},"addressType":"IPv4","endpoints":[%s],"ports":[{"name":"http","port":8080,"protocol":"TCP"}%s]}`, name, ns, name, strings.Join(eps, ","), x)
}
func host(s int) string { return fmt.Sprintf("%s.%s.svc.cluster.local", svcName(s), nsName(s)) }
func vsJSON(s int, w int, marker string) string {
	return fmt.Sprintf(`{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":%q,"namespace":%q},"spec":%s}`, svcName(s), nsName(s), vsSpec(s, w, marker))
}
func vsSpec(s int, w int, marker string) string {
	return fmt.Sprintf(`{"hosts":[%q],"http":[{"name":%q,"timeout":"5s","retries":{"attempts":2,"perTryTimeout":"2s"},"route":[{"destination":{"host":%q,"subset":"v1"},"weight":%d},{"destination":{"host":%q,"subset":"v2"},"weight":%d}]}]}`, host(s), marker, host(s), w, host(s), 100-w)
}
func drJSON(s int) string {
	return fmt.Sprintf(`{"apiVersion":"networking.istio.io/v1","kind":"DestinationRule","metadata":{"name":%q,"namespace":%q},"spec":{"host":%q,"trafficPolicy":{"loadBalancer":{"simple":"LEAST_REQUEST"},"connectionPool":{"http":{"http2MaxRequests":1000}}},"subsets":[{"name":"v1","labels":{"version":"v1"}},{"name":"v2","labels":{"version":"v2"}}]}}`, svcName(s), nsName(s), host(s))
}

const epSliceBase = "/apis/discovery.k8s.io/v1/namespaces/"

func nsPath(ns, kind string) string { return "/api/v1/namespaces/" + ns + "/" + kind }

// parallel runs f(0..n-1) with 24 workers.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for w := 0; w < 24; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		}()
	}
	wg.Wait()
}

func (k *kube) setup(n0, n, m int, vsEvery int) {
	t0 := time.Now()
	post := func(kind, s string) { k.post("/api/v1/"+kind, s) }
	for i := 0; i < nNS; i++ {
		l := ""
		if *fAmbient {
			l = `,"labels":{"istio.io/dataplane-mode":"ambient"}`
		}
		post("namespaces", fmt.Sprintf(`{"metadata":{"name":%q%s}}`, nsName(i), l))
	}
	post("namespaces", `{"metadata":{"name":"istio-system"}}`)
	for i := 0; i < 10; i++ {
		post("nodes", fmt.Sprintf(`{"metadata":{"name":"node-%d","labels":{"topology.kubernetes.io/region":"region-1","topology.kubernetes.io/zone":"zone-%d"}}}`, i, i%3+1))
	}
	mkPod := func(p podRef) {
		path := nsPath(p.ns, "pods")
		k.post(path, podJSON(p))
		k.merge(path+"/"+p.name+"/status", podStatus(p))
	}
	parallel(n-n0, func(j int) {
		s := n0 + j
		tcp := s%10 == 5
		k.post(nsPath(nsName(s), "services"), svcJSON(svcName(s), nsName(s), tcp))
		var ps []podRef
		for r := 0; r < m; r++ {
			p := pod(s, r, m)
			mkPod(p)
			ps = append(ps, p)
		}
		k.post(epSliceBase+nsName(s)+"/endpointslices", sliceJSON(svcName(s), nsName(s), tcp, ps))
	})
	// a spare pod for the endpoint probe (service 3)
	mkPod(spare(m))
	fmt.Printf("setup: %d services, %d pods in %.1fs\n", n-n0, (n-n0)*m, time.Since(t0).Seconds())
	k.vsdr(3)
	if vsEvery > 0 {
		parallel(n/vsEvery, func(i int) { k.vsdr(i*vsEvery + 3) })
		fmt.Printf("setup: %d VirtualService+DestinationRule\n", n/vsEvery)
	}
}
func (k *kube) vsdr(s int) {
	k.post("/apis/networking.istio.io/v1/namespaces/"+nsName(s)+"/destinationrules", drJSON(s))
	k.post("/apis/networking.istio.io/v1/namespaces/"+nsName(s)+"/virtualservices", vsJSON(s, 90, "primary"))
}
func spare(m int) podRef {
	p := pod(3, 900, m)
	p.ip = "10.240.100.100"
	return p
}
