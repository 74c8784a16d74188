package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"hash/maphash"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

func f64(f float64) uint64 { return math.Float64bits(f) }

// Probe names the response that proves that a change has reached a client.
type Probe struct {
	typ    string
	marker []byte
	t0     time.Time
	got    []int64 // ns since t0, 0 = not yet
	n      atomic.Int64
	want   int64
	done   chan struct{}
}

var curProbe atomic.Pointer[Probe]

type typeStat struct {
	msgs, bytes, res, removed atomic.Int64
}

var typeOrder = []string{CDS, EDS, LDS, RDS, VHDS, ECDS, NDS, PCDS, ADDR, WORKLOAD, AUTHZ}
var stats = map[string]*typeStat{}

func init() {
	for _, t := range typeOrder {
		stats[t] = &typeStat{}
	}
	stats["other"] = &typeStat{}
}

type tstate struct {
	ver, nonce string
	subs       map[string]struct{}
	got        bool
	asked      bool
}

type client struct {
	idx       int
	addr      string
	kind      string // sidecar | ztunnel
	delta     bool
	node      []byte
	id        string
	types     []string // extra wildcard types
	cc        *grpc.ClientConn
	stream    grpc.ClientStream
	sendQ     chan []byte
	st        map[string]*tstate
	clusters  map[string]string   // cluster -> edsName (delta)
	listeners map[string][]string // listener -> routes
	routeRef  map[string]int
	bytes     int64
	msgs      int64
	start     time.Time
	synced    atomic.Int64 // ns since start
	err       error
	firstNode bool
	trace     bool
	versions  map[string]map[string]string // type -> name -> version, kept when keepVersions
	initialRV map[string]map[string]string // sent on first request
}

var keepVersions bool

// distinct-content accounting (-dedupe): how many different resource bodies and
// whole responses exist across clients, per type.
var ddMu sync.Mutex
var ddRes = map[string]map[uint64]int{}
var ddResp = map[string]map[uint64]struct{}{}
var ddDistinctBytes = map[string]int{}

func dedupe(r response) {
	hs := make([]uint64, len(r.res))
	var sum uint64
	for i, x := range r.res {
		hs[i] = maphash.Bytes(seed, x.body)
		sum += hs[i]
	}
	ddMu.Lock()
	if ddRes[r.typ] == nil {
		ddRes[r.typ] = map[uint64]int{}
		ddResp[r.typ] = map[uint64]struct{}{}
	}
	for i, h := range hs {
		if _, ok := ddRes[r.typ][h]; !ok {
			ddRes[r.typ][h] = 1
			ddDistinctBytes[r.typ] += len(r.res[i].body)
		}
	}
	ddResp[r.typ][sum] = struct{}{}
	ddMu.Unlock()
}

func (c *client) s(t string) *tstate {
	x := c.st[t]
	if x == nil {
		x = &tstate{subs: map[string]struct{}{}}
		c.st[t] = x
	}
	return x
}

func dial(addr string) (*grpc.ClientConn, error) {
	var cr credentials.TransportCredentials = insecure.NewCredentials()
	if *fTLS {
		cfg := &tls.Config{ServerName: *fSNI, InsecureSkipVerify: *fCA == ""}
		if *fCA != "" {
			p := x509.NewCertPool()
			b, err := os.ReadFile(*fCA)
			if err != nil {
				return nil, err
			}
			p.AppendCertsFromPEM(b)
			cfg.RootCAs = p
		}
		if *fCert != "" {
			kp, err := tls.LoadX509KeyPair(*fCert, *fKey)
			if err != nil {
				return nil, err
			}
			cfg.Certificates = []tls.Certificate{kp}
		}
		cr = credentials.NewTLS(cfg)
	}
	return grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(cr),
		grpc.WithInitialWindowSize(16<<20), grpc.WithInitialConnWindowSize(24<<20),
		grpc.WithReadBufferSize(64<<10), grpc.WithWriteBufferSize(16<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(512<<20), grpc.ForceCodecV2(rawCodec{})))
}

// run connects with retries (istiod rate limits new streams) until ctx ends.
func (c *client) run(ctx context.Context, addr string, onSync func(*client)) {
	c.start = time.Now()
	back := 200 * time.Millisecond
	for ctx.Err() == nil {
		err := c.once(ctx, addr, onSync)
		if ctx.Err() != nil {
			return
		}
		reconnects.Add(1)
		c.err = err
		if reconnects.Load() < 5 {
			fmt.Fprintln(os.Stderr, "client", c.idx, "stream ended:", err)
		}
		time.Sleep(back)
		if back < 2*time.Second {
			back *= 2
		}
	}
}

var reconnects atomic.Int64

func (c *client) once(ctx context.Context, addr string, onSync func(*client)) error {
	cc, err := dial(addr)
	if err != nil {
		return err
	}
	defer cc.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if *fToken != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+*fToken)
	}
	m := sotwMethod
	if c.delta {
		m = deltaMethod
	}
	st, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, m, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	c.stream = st
	c.sendQ = make(chan []byte, 64)
	c.st = map[string]*tstate{}
	c.clusters = map[string]string{}
	c.listeners = map[string][]string{}
	c.routeRef = map[string]int{}
	c.firstNode = true
	go func() {
		for {
			select {
			case b := <-c.sendQ:
				if st.SendMsg(b) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	if c.kind == "sidecar" {
		c.subscribe(CDS, nil, nil)
	}
	for _, t := range c.types {
		c.subscribe(t, nil, nil)
	}
	for {
		var b []byte
		if err := st.RecvMsg(&b); err != nil {
			return err
		}
		c.handle(b)
		if c.synced.Load() == 0 && c.isSynced() {
			c.synced.Store(int64(time.Since(c.start)))
			onSync(c)
		}
	}
}

func (c *client) isSynced() bool {
	if c.kind == "sidecar" {
		if !c.s(CDS).got || !c.s(LDS).got {
			return false
		}
		if len(c.s(EDS).subs) > 0 && !c.s(EDS).got {
			return false
		}
		if len(c.s(RDS).subs) > 0 && !c.s(RDS).got {
			return false
		}
		if *fVHDS && len(c.s(RDS).subs) > 0 && !c.s(VHDS).got {
			return false
		}
	}
	for _, t := range c.types {
		if t == ECDS || t == NDS || t == PCDS || t == WORKLOAD {
			continue
		}
		if !c.s(t).got {
			return false
		}
	}
	return true
}

func (c *client) nodeOnce() []byte {
	if c.firstNode {
		c.firstNode = false
		return c.node
	}
	return nil
}

// subscribe adds/removes names on a type, or opens a wildcard (add==nil, remove==nil).
func (c *client) subscribe(t string, add, remove []string) {
	s := c.s(t)
	s.asked = true
	for _, a := range add {
		s.subs[a] = struct{}{}
	}
	for _, a := range remove {
		delete(s.subs, a)
	}
	if c.delta {
		r := deltaReq{node: c.nodeOnce(), typ: t, sub: add, unsub: remove}
		if c.kind == "ztunnel" && add == nil && t != AUTHZ && *fZtStar {
			r.sub = []string{"*"}
		}
		if c.initialRV != nil {
			r.initial = c.initialRV[t]
		}
		c.sendQ <- r.enc()
		return
	}
	names := make([]string, 0, len(s.subs))
	for n := range s.subs {
		names = append(names, n)
	}
	c.sendQ <- sotwReq{node: c.nodeOnce(), typ: t, ver: s.ver, nonce: s.nonce, names: names}.enc()
}

func (c *client) handle(b []byte) {
	now := time.Now()
	var r response
	if c.delta {
		r = decDelta(b)
	} else {
		r = decSotw(b)
	}
	if p := curProbe.Load(); p != nil && p.typ == r.typ && atomic.LoadInt64(&p.got[c.idx]) == 0 && bytes.Contains(b, p.marker) {
		if atomic.CompareAndSwapInt64(&p.got[c.idx], 0, max(1, int64(now.Sub(p.t0)))) {
			if p.n.Add(1) == p.want {
				close(p.done)
			}
		}
	}
	if *fDedupe {
		dedupe(r)
	}
	ts := stats[r.typ]
	if ts == nil {
		ts = stats["other"]
	}
	ts.msgs.Add(1)
	ts.bytes.Add(int64(len(b)))
	ts.res.Add(int64(len(r.res)))
	ts.removed.Add(int64(len(r.removed)))
	atomic.AddInt64(&c.bytes, int64(len(b)))
	atomic.AddInt64(&c.msgs, 1)
	if c.trace {
		rm := ""
		if len(r.removed) > 0 {
			rm = fmt.Sprint(" removed=", r.removed[:min(len(r.removed), 4)])
		}
		n0 := ""
		if len(r.res) > 0 {
			n0 = r.res[0].name
			if n0 == "" {
				n0 = firstString(r.res[0].body)
			}
		}
		fmt.Printf("%8.1fms %-8s res=%d removed=%d bytes=%d ver=%q resver=%v first=%q%s\n", float64(now.Sub(c.start).Microseconds())/1000,
			short(r.typ), len(r.res), len(r.removed), len(b), r.ver, func() string {
				if len(r.res) > 0 {
					return r.res[0].version
				}
				return ""
			}(), n0, rm)
	}
	s := c.s(r.typ)
	s.got = true
	s.ver, s.nonce = r.ver, r.nonce
	if keepVersions && c.delta {
		if c.versions == nil {
			c.versions = map[string]map[string]string{}
		}
		m := c.versions[r.typ]
		if m == nil {
			m = map[string]string{}
			c.versions[r.typ] = m
		}
		for _, x := range r.res {
			m[x.name] = x.version
		}
		for _, x := range r.removed {
			delete(m, x)
		}
	}
	// ACK
	if c.delta {
		c.sendQ <- deltaReq{typ: r.typ, nonce: r.nonce}.enc()
	} else {
		names := make([]string, 0, len(s.subs))
		for n := range s.subs {
			names = append(names, n)
		}
		c.sendQ <- sotwReq{typ: r.typ, ver: r.ver, nonce: r.nonce, names: names}.enc()
	}
	if c.kind != "sidecar" {
		return
	}
	switch r.typ {
	case CDS:
		c.onCDS(r)
	case LDS:
		c.onLDS(r)
	case RDS:
		if *fVHDS && !c.s(VHDS).asked {
			c.subscribe(VHDS, nil, nil)
		}
	case EDS:
		if !c.s(LDS).asked {
			c.subscribe(LDS, nil, nil)
		}
	}
}

func (c *client) onCDS(r response) {
	var add, rem []string
	seen := map[string]struct{}{}
	for _, x := range r.res {
		in := clusterInfo(x.body)
		name, eds := in[0], in[1]
		seen[name] = struct{}{}
		if _, had := c.clusters[name]; !had && eds != "" {
			if _, sub := c.s(EDS).subs[eds]; !sub {
				add = append(add, eds)
			}
		}
		c.clusters[name] = eds
	}
	drop := func(n string) {
		if e := c.clusters[n]; e != "" {
			rem = append(rem, e)
		}
		delete(c.clusters, n)
	}
	if c.delta {
		for _, n := range r.removed {
			if _, ok := c.clusters[n]; ok {
				drop(n)
			}
		}
	} else {
		for n := range c.clusters {
			if _, ok := seen[n]; !ok {
				drop(n)
			}
		}
	}
	if len(add)+len(rem) > 0 {
		c.subscribe(EDS, add, rem)
	} else if !c.s(LDS).asked && len(c.s(EDS).subs) == 0 {
		c.subscribe(LDS, nil, nil)
	}
}

func (c *client) onLDS(r response) {
	var add, rem []string
	seen := map[string]struct{}{}
	ref := func(n string, d int) {
		c.routeRef[n] += d
		if d > 0 && c.routeRef[n] == 1 {
			add = append(add, n)
		}
		if d < 0 && c.routeRef[n] == 0 {
			rem = append(rem, n)
			delete(c.routeRef, n)
		}
	}
	for _, x := range r.res {
		in := listenerInfo(x.body)
		seen[in[0]] = struct{}{}
		old := c.listeners[in[0]]
		for _, n := range in[1:] {
			ref(n, 1)
		}
		for _, n := range old {
			ref(n, -1)
		}
		c.listeners[in[0]] = in[1:]
	}
	drop := func(n string) {
		for _, x := range c.listeners[n] {
			ref(x, -1)
		}
		delete(c.listeners, n)
	}
	if c.delta {
		for _, n := range r.removed {
			drop(n)
		}
	} else {
		for n := range c.listeners {
			if _, ok := seen[n]; !ok {
				drop(n)
			}
		}
	}
	if len(add)+len(rem) > 0 {
		c.subscribe(RDS, add, rem)
	}
}

// ---- node identities ----

func sidecarNode(p podRef) (string, []byte) {
	id := fmt.Sprintf("%s~%s~%s.%s~%s.svc.cluster.local", *fNodeType, p.ip, p.name, p.ns, p.ns)
	labels := map[string]any{"app": p.svc, "version": p.version, "service.istio.io/canonical-name": p.svc,
		"service.istio.io/canonical-revision": p.version, "security.istio.io/tlsMode": "istio", "pod-template-hash": "5d8f"}
	meta := map[string]any{
		"APP_CONTAINERS": "app", "CLUSTER_ID": *fCluster, "ENVOY_PROMETHEUS_PORT": 15090, "ENVOY_STATUS_PORT": 15021,
		"INSTANCE_IPS": p.ip, "INTERCEPTION_MODE": "REDIRECT", "ISTIO_PROXY_SHA": "1.32.0-dev", "ISTIO_VERSION": "1.32.0",
		"LABELS": labels, "MESH_ID": "cluster.local", "METADATA_DISCOVERY": "true", "NAME": p.name, "NAMESPACE": p.ns, "NODE_NAME": p.node,
		"OWNER":     fmt.Sprintf("kubernetes://apis/apps/v1/namespaces/%s/deployments/%s", p.ns, p.svc),
		"PILOT_SAN": []any{"istiod.istio-system.svc"}, "POD_PORTS": `[{"name":"http","containerPort":8080,"protocol":"TCP"}]`,
		"PROXY_CONFIG": map[string]any{"binaryPath": "/usr/local/bin/envoy", "concurrency": 2, "configPath": "./etc/istio/proxy",
			"controlPlaneAuthPolicy": "MUTUAL_TLS", "discoveryAddress": "istiod.istio-system.svc:15012", "drainDuration": "45s",
			"proxyAdminPort": 15000, "serviceCluster": "istio-proxy", "statNameLength": 189, "statusPort": 15020, "terminationDrainDuration": "5s"},
		"SERVICE_ACCOUNT": p.svc, "WORKLOAD_NAME": p.svc,
	}
	if *fVHDS {
		meta["VIRTUAL_HOST_DISCOVERY"] = "true"
	}
	return id, encNode(id, p.svc+"."+p.ns, meta)
}

func ztunnelNode(i int) (string, []byte) {
	ip := fmt.Sprintf("10.250.%d.%d", 100+i/100, 100+i%100)
	name := fmt.Sprintf("ztunnel-%05d", i)
	id := fmt.Sprintf("ztunnel~%s~%s.istio-system~istio-system.svc.cluster.local", ip, name)
	meta := map[string]any{"NAME": name, "NAMESPACE": "istio-system", "INSTANCE_IPS": ip, "NODE_NAME": fmt.Sprintf("node-%d", i%10),
		"CLUSTER_ID": *fCluster, "ISTIO_VERSION": "1.32.0", "NETWORK": ""}
	var b []byte
	b = pstr(b, 1, id)
	b = pmsg(b, 3, pstruct(meta))
	return id, b
}

// storm connects all clients and waits for sync.
func storm(ctx context.Context, cs []*client, timeout time.Duration) ([]float64, time.Duration, error) {
	var wg sync.WaitGroup
	wg.Add(len(cs))
	t0 := time.Now()
	for _, c := range cs {
		go c.run(ctx, c.addr, func(*client) { wg.Done() })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var err error
	select {
	case <-done:
	case <-time.After(timeout):
		err = fmt.Errorf("timeout")
	}
	el := time.Since(t0)
	var out []float64
	for _, c := range cs {
		if v := c.synced.Load(); v > 0 {
			out = append(out, float64(v)/1e6)
		}
	}
	return out, el, err
}
