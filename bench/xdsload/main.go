package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

var (
	fAddr     = flag.String("addr", "127.0.0.1:15010", "xDS server")
	fTLS      = flag.Bool("tls", false, "TLS to the xDS server")
	fSNI      = flag.String("sni", "istiod.istio-system.svc", "TLS server name")
	fCA       = flag.String("ca", "", "root CA file (none: skip verification)")
	fCert     = flag.String("cert", "", "client cert")
	fKey      = flag.String("key", "", "client key")
	fToken    = flag.String("token", "", "bearer token")
	fCluster  = flag.String("cluster", "Kubernetes", "CLUSTER_ID")
	fKube     = flag.String("kube", "https://127.0.0.1:6443", "API server")
	fKToken   = flag.String("ktoken", "", "bearer token for the API server")
	fVHDS     = flag.Bool("vhds", false, "clients take virtual hosts by themselves (delta sidecars)")
	fPID      = flag.Int("pid", 0, "server pid, for CPU and RSS")
	fAddr2    = flag.String("addr2", "", "compare: the other xDS server")
	fPID2     = flag.Int("pid2", 0, "compare: the other server's pid")
	fStorms   = flag.Int("storms", 5, "compare: how often the clients of each server connect")
	fSlice    = flag.Int("slice", 5, "compare: changes of a slice")
	fN        = flag.Int("n", 100, "services")
	fN0       = flag.Int("n0", 0, "setup: first service to create")
	fM        = flag.Int("m", 5, "pods per service")
	fK        = flag.Int("k", 50, "clients")
	fKind     = flag.String("kind", "sidecar", "sidecar | ztunnel")
	fDelta    = flag.Bool("delta", true, "delta (true) or SotW")
	fVS       = flag.Int("vs", 0, "setup: a VirtualService+DestinationRule every this many services")
	fAmbient  = flag.Bool("ambient", false, "setup: ambient namespaces and pods")
	fR        = flag.Int("r", 20, "repeats per probe")
	fGap      = flag.Duration("gap", 700*time.Millisecond, "pause between repeats (plus up to 300 ms jitter)")
	fProbes   = flag.String("probes", "ep,vs,svc", "comma list of ep,vs,svc,pod")
	fTimeout  = flag.Duration("timeout", 240*time.Second, "connect storm limit")
	fZtStar   = flag.Bool("ztstar", false, "ztunnel clients subscribe to '*' rather than the legacy empty wildcard")
	fLabel    = flag.String("label", "", "free text put into the JSON")
	fExtra    = flag.String("extra", "", "watch: extra short types, e.g. NDS,PCDS,ECDS")
	fNodeType = flag.String("nodetype", "sidecar", "node id prefix of the envoy kind: sidecar | router | waypoint")
	fDedupe   = flag.Bool("dedupe", false, "count distinct resource bodies and responses across clients")
	fFor      = flag.Duration("for", 5*time.Second, "watch: how long")
)

// cpuSeconds returns the seconds on CPU of all threads, with a precision of ns. If threads have ended, it returns
// utime+stime, which count in ticks of 10 ms.
func cpuSeconds(pid int) float64 {
	if pid == 0 {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	u, _ := strconv.ParseFloat(f[11], 64)
	s, _ := strconv.ParseFloat(f[12], 64)
	tick := (u + s) / 100
	tot := 0.0
	ts, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, t := range ts {
		b, err := os.ReadFile(t)
		if err == nil {
			v, _ := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
			tot += v / 1e9
		}
	}
	if tot == 0 || tick-tot > 1 {
		return tick
	}
	return tot
}
func rssMB(pid int) (cur, hwm float64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, l := range strings.Split(string(b), "\n") {
		f := strings.Fields(l)
		if len(f) >= 2 && f[0] == "VmRSS:" {
			cur, _ = strconv.ParseFloat(f[1], 64)
		}
		if len(f) >= 2 && f[0] == "VmHWM:" {
			hwm, _ = strconv.ParseFloat(f[1], 64)
		}
	}
	return cur / 1024, hwm / 1024
}
func loadavg() string {
	b, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(b))[:2], " ")
}

func pct(a []float64, p float64) float64 {
	if len(a) == 0 {
		return -1
	}
	s := append([]float64(nil), a...)
	sort.Float64s(s)
	i := int(p*float64(len(s)-1) + 0.5)
	return s[i]
}
func r1(f float64) float64 { return float64(int(f*10+0.5)) / 10 }
func dist(a []float64) map[string]float64 {
	return map[string]float64{"min": r1(pct(a, 0)), "p25": r1(pct(a, .25)), "med": r1(pct(a, .5)), "p75": r1(pct(a, .75)), "max": r1(pct(a, 1))}
}

func snap() map[string][4]int64 {
	o := map[string][4]int64{}
	for k, s := range stats {
		o[k] = [4]int64{s.msgs.Load(), s.bytes.Load(), s.res.Load(), s.removed.Load()}
	}
	return o
}
func diff(a, b map[string][4]int64, per float64) map[string]string {
	o := map[string]string{}
	for k, y := range b {
		x := a[k]
		if y[0] != x[0] {
			o[short(k)] = fmt.Sprintf("%.2f msgs, %.0f B, %.2f res, %.2f rem", float64(y[0]-x[0])/per, float64(y[1]-x[1])/per, float64(y[2]-x[2])/per, float64(y[3]-x[3])/per)
		}
	}
	return o
}

// makeClients returns the clients of one server. Their probes count from index first.
func makeClients(addr string, first int) []*client {
	var cs []*client
	for i := 0; i < *fK; i++ {
		c := &client{idx: first + i, addr: addr, kind: *fKind, delta: *fDelta}
		if *fKind == "ztunnel" {
			c.id, c.node = ztunnelNode(i)
			c.types = []string{ADDR, AUTHZ}
		} else {
			// spread proxies over services, then replicas
			s, r := i%*fN, (i / *fN)%*fM
			c.id, c.node = sidecarNode(pod(s, r, *fM))
		}
		cs = append(cs, c)
	}
	return cs
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: xdsload setup|bench|compare|watch [flags]")
		os.Exit(2)
	}
	cmd := os.Args[1]
	flag.CommandLine.Parse(os.Args[2:])
	switch cmd {
	case "setup":
		newKube().setup(*fN0, *fN, *fM, *fVS)
	case "bench":
		bench()
	case "compare":
		compare()
	case "watch":
		watchCmd()
	}
}

func watchCmd() {
	*fK = 1
	cs := makeClients(*fAddr, 0)
	c := cs[0]
	c.trace = true
	keepVersions = true
	for _, e := range strings.Split(*fExtra, ",") {
		if e == "" {
			continue
		}
		t := map[string]string{"NDS": NDS, "PCDS": PCDS, "ECDS": ECDS, "WORKLOAD": WORKLOAD, "ADDR": ADDR, "AUTHZ": AUTHZ}[e]
		if t == "" {
			t = e
		}
		c.types = append(c.types, t)
	}
	ctx, cancel := context.WithTimeout(context.Background(), *fFor)
	c.run(ctx, *fAddr, func(c *client) {
		fmt.Printf("-- synced after %.1f ms, %d bytes\n", float64(c.synced.Load())/1e6, c.bytes)
	})
	cancel()
	fmt.Println("subscribed EDS", len(c.s(EDS).subs), "RDS", len(c.s(RDS).subs))
	if c.delta && len(c.versions) > 0 {
		fmt.Println("-- reconnect with initial_resource_versions")
		c2 := &client{idx: 0, kind: c.kind, delta: true, node: c.node, id: c.id, types: c.types, trace: true, initialRV: c.versions}
		ctx, cancel := context.WithTimeout(context.Background(), *fFor)
		c2.run(ctx, *fAddr, func(c *client) {
			fmt.Printf("-- resynced after %.1f ms, %d bytes\n", float64(c.synced.Load())/1e6, c.bytes)
		})
		cancel()
	}
}

func bench() {
	k := newKube()
	out := map[string]any{"label": *fLabel, "n": *fN, "m": *fM, "k": *fK, "kind": *fKind, "delta": *fDelta, "load_start": loadavg()}
	rss0, _ := rssMB(*fPID)
	out["rss_before_MB"] = r1(rss0)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cs := makeClients(*fAddr, 0)
	self := os.Getpid()
	cpu0, my0 := cpuSeconds(*fPID), cpuSeconds(self)
	sync, el, err := storm(ctx, cs, *fTimeout)
	cpu1, my1 := cpuSeconds(*fPID), cpuSeconds(self)
	st := map[string]any{"clients_synced": len(sync), "first_ms": r1(pct(sync, 0)), "p50_ms": r1(pct(sync, .5)), "p99_ms": r1(pct(sync, .99)), "last_ms": r1(pct(sync, 1)), "wall_s": r1(el.Seconds()*10) / 10,
		"server_cpu_s": r1((cpu1-cpu0)*10) / 10, "client_cpu_s": r1((my1-my0)*10) / 10, "stream_retries": reconnects.Load()}
	if err != nil {
		st["error"] = err.Error()
	}
	var tot int64
	for _, c := range cs {
		tot += atomic.LoadInt64(&c.bytes)
	}
	st["bytes_per_client"] = tot / int64(len(cs))
	st["per_client"] = diff(map[string][4]int64{}, snap(), float64(len(cs)))
	if *fDedupe {
		dd := map[string]string{}
		for t, m := range ddRes {
			dd[short(t)] = fmt.Sprintf("%d distinct bodies (%d B), %d distinct responses", len(m), ddDistinctBytes[t], len(ddResp[t]))
		}
		st["distinct"] = dd
	}
	out["storm"] = st
	fmt.Fprintln(os.Stderr, "storm:", js(st))
	if err != nil {
		fmt.Println(js(out))
		return
	}
	time.Sleep(4 * time.Second)
	// Take the quietest of some seconds: after a storm a runtime collects garbage, which is no cost of a change.
	idle := math.Inf(1)
	for i := 0; i < 4; i++ {
		c0, t0 := cpuSeconds(*fPID), time.Now()
		time.Sleep(4 * time.Second)
		idle = math.Min(idle, (cpuSeconds(*fPID)-c0)/time.Since(t0).Seconds())
	}
	cur, hwm := rssMB(*fPID)
	out["idle_cpu_pct"] = r1(idle * 100)
	out["rss_MB"], out["rss_peak_MB"] = r1(cur), r1(hwm)

	want := int64(len(cs))
	run1 := func(typ, marker string, w *watcher, do func()) (pr *Probe, api, wat float64, ok bool) {
		p := &Probe{typ: typ, marker: []byte(marker), got: make([]int64, len(cs)), want: want, done: make(chan struct{})}
		p.t0 = time.Now()
		if w != nil {
			w.arm(marker, p.t0)
		}
		curProbe.Store(p)
		do()
		api = float64(time.Since(p.t0).Microseconds()) / 1000
		select {
		case <-p.done:
			ok = true
		case <-time.After(30 * time.Second):
		}
		time.Sleep(20 * time.Millisecond)
		if w != nil {
			wat = float64(w.at.Load()) / 1e6
		}
		curProbe.Store(nil)
		return p, api, wat, ok
	}
	series := func(ch change) {
		var first, p50, p99, last, api, wat []float64
		miss := 0
		w := k.watch(ctx, ch.watch)
		ch.prepare()
		s0 := snap()
		cpu, my, t := cpuSeconds(*fPID), cpuSeconds(self), time.Now()
		for i := 0; i < *fR; i++ {
			mk := ch.marker(i)
			p, a, wv, ok := run1(ch.typ, mk, w, func() { ch.apply(i, mk) })
			if !ok {
				miss++
			}
			var g []float64
			for _, v := range p.got {
				if v > 0 {
					g = append(g, float64(v)/1e6)
				}
			}
			if len(g) > 0 {
				first = append(first, pct(g, 0))
				p50 = append(p50, pct(g, .5))
				p99 = append(p99, pct(g, .99))
				last = append(last, pct(g, 1))
			}
			api = append(api, a)
			wat = append(wat, wv)
			time.Sleep(*fGap + time.Duration(rand.Intn(300))*time.Millisecond)
		}
		wall := time.Since(t).Seconds()
		d := cpuSeconds(*fPID) - cpu - idle*wall
		dm := cpuSeconds(self) - my
		s1 := snap()
		cur, _ := rssMB(*fPID)
		res := map[string]any{"first_ms": dist(first), "p50_ms": dist(p50), "p99_ms": dist(p99), "last_ms": dist(last), "api_ms": dist(api), "watch_ms": dist(wat),
			"server_cpu_ms_per_change": r1(d / float64(*fR) * 1000), "client_cpu_ms_per_change": r1(dm / float64(*fR) * 1000), "incomplete": miss, "rss_MB": r1(cur),
			"per_change_per_client": diff(s0, s1, float64(*fR)*float64(len(cs))), "load": loadavg()}
		out[ch.name] = res
		fmt.Fprintln(os.Stderr, ch.name, js(res))
		ch.after(*fR)
	}
	run := strconv.FormatInt(time.Now().Unix()%100000, 10)
	for _, kind := range strings.Split(*fProbes, ",") {
		series(changeOf(kind, k, run))
	}
	out["retries_total"] = reconnects.Load()
	out["load_end"] = loadavg()
	fmt.Println(js(out))
}

func js(v any) string { b, _ := json.Marshal(v); return string(b) }
