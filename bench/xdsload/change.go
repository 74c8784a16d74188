package main

import (
	"fmt"
	"strings"
	"time"
)

// change is a write to the API server that clients can recognize in a response.
type change struct {
	name    string
	typ     string // the type of the response that contains the change
	watch   string // the path to watch for the time at which the API server itself reports the change
	prepare func()
	marker  func(i int) string
	apply   func(i int, marker string)
	after   func(count int) // undoes what count changes have left
}

// changeOf returns a change of this kind: ep, vs, svc, pod or newpod. Names contain run, so that two runs do not share
// them.
func changeOf(kind string, k *kube, run string) change {
	none := func() {}
	nothing := func(int) {}
	named := func(prefix string) func(i int) string {
		return func(i int) string { return fmt.Sprintf("%s-%s-%03d", prefix, run, i) }
	}
	byKind := func(typ string) string {
		if *fKind == "ztunnel" {
			return ADDR
		}
		return typ
	}
	switch kind {
	case "ep": // swap the last endpoint of service 3 between its own pod and a spare pod
		ps := []podRef{}
		for r := 0; r < *fM; r++ {
			ps = append(ps, pod(3, r, *fM))
		}
		alt := append(append([]podRef{}, ps[:*fM-1]...), spare(*fM))
		path := epSliceBase + nsName(3) + "/endpointslices/" + svcName(3) + "-abcde"
		put := func(x []podRef) {
			var e []string
			for _, p := range x {
				e = append(e, epJSON(p))
			}
			k.merge(path, `{"endpoints":[`+strings.Join(e, ",")+`]}`)
		}
		return change{
			name: "endpointslice", typ: byKind(EDS),
			watch:   epSliceBase + nsName(3) + "/endpointslices?watch=1&resourceVersion=0",
			prepare: func() { put(ps); time.Sleep(1500 * time.Millisecond) },
			marker: func(i int) string {
				if i%2 == 0 {
					return spare(*fM).ip
				}
				return ps[*fM-1].ip
			},
			apply: func(i int, _ string) {
				if i%2 == 0 {
					put(alt)
				} else {
					put(ps)
				}
			},
			after: func(int) { put(ps); time.Sleep(time.Second) },
		}
	case "vs":
		path := "/apis/networking.istio.io/v1/namespaces/" + nsName(3) + "/virtualservices"
		typ := RDS
		if *fVHDS {
			typ = VHDS
		}
		return change{
			name: "virtualservice", typ: typ, watch: path + "?watch=1&resourceVersion=0",
			prepare: none, marker: named("mk"), after: nothing,
			apply: func(i int, marker string) {
				weight := 50
				if i%2 == 1 {
					weight = 90
				}
				k.merge(path+"/"+svcName(3), `{"spec":`+vsSpec(3, weight, marker)+`}`)
			},
		}
	case "svc":
		path := nsPath(nsName(3), "services")
		name := named("new")
		return change{
			name: "service", typ: byKind(CDS), watch: path + "?watch=1&resourceVersion=0",
			prepare: none, marker: name,
			apply: func(_ int, marker string) { k.post(path, svcJSON(marker, nsName(3), false)) },
			after: func(count int) {
				for i := 0; i < count; i++ {
					k.del(path + "/" + name(i))
				}
				time.Sleep(3 * time.Second)
			},
		}
	case "pod": // ztunnel: change one pod's canonical-name label -> Workload.canonical_name
		p := pod(3, 1, *fM)
		return change{
			name: "pod", typ: ADDR,
			watch:   nsPath(p.ns, "pods") + "?watch=1&resourceVersion=0&labelSelector=app%3D" + p.svc,
			prepare: none, marker: named("cn"), after: nothing,
			apply: func(_ int, marker string) {
				k.merge(nsPath(p.ns, "pods/"+p.name), fmt.Sprintf(`{"metadata":{"labels":{"service.istio.io/canonical-name":%q}}}`, marker))
			},
		}
	case "newpod": // ztunnel: create one pod and set its status (two writes)
		name := named("np")
		path := nsPath(nsName(3), "pods")
		return change{
			name: "newpod", typ: ADDR, watch: path + "?watch=1&resourceVersion=0&labelSelector=app%3Dnewpod",
			prepare: none, marker: name,
			apply: func(i int, marker string) {
				p := podRef{name: marker, ns: nsName(3), ip: fmt.Sprintf("10.241.100.%d", 100+i), svc: "newpod", version: "v1", node: "node-1"}
				k.post(path, podJSON(p))
				k.merge(path+"/"+p.name+"/status", podStatus(p))
			},
			after: func(count int) {
				for i := 0; i < count; i++ {
					k.must("DELETE", path+"/"+name(i), "application/json", `{"gracePeriodSeconds":0}`)
				}
			},
		}
	}
	panic("unknown probe " + kind)
}
