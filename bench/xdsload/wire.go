package main

// Hand-rolled xDS wire encoding: requests are built with protowire, responses are
// scanned without full decoding, so 1000 clients cost little CPU next to the server.

import (
	"hash/maphash"
	"sync"

	"google.golang.org/grpc/mem"
	pw "google.golang.org/protobuf/encoding/protowire"
)

const (
	tp          = "type.googleapis.com/"
	CDS         = tp + "envoy.config.cluster.v3.Cluster"
	EDS         = tp + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	LDS         = tp + "envoy.config.listener.v3.Listener"
	RDS         = tp + "envoy.config.route.v3.RouteConfiguration"
	VHDS        = tp + "envoy.config.route.v3.VirtualHost"
	ECDS        = tp + "envoy.config.core.v3.TypedExtensionConfig"
	NDS         = tp + "istio.networking.nds.v1.NameTable"
	PCDS        = tp + "istio.mesh.v1alpha1.ProxyConfig"
	ADDR        = tp + "istio.workload.Address"
	WORKLOAD    = tp + "istio.workload.Workload"
	AUTHZ       = tp + "istio.security.Authorization"
	deltaMethod = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
	sotwMethod  = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
	hcmType     = tp + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)

func short(t string) string {
	switch t {
	case CDS:
		return "CDS"
	case EDS:
		return "EDS"
	case LDS:
		return "LDS"
	case RDS:
		return "RDS"
	case VHDS:
		return "VHDS"
	case ECDS:
		return "ECDS"
	case NDS:
		return "NDS"
	case PCDS:
		return "PCDS"
	case ADDR:
		return "ADDR"
	case WORKLOAD:
		return "WORKLOAD"
	case AUTHZ:
		return "AUTHZ"
	}
	return t
}

type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(d mem.BufferSlice, v any) error {
	*(v.(*[]byte)) = d.Materialize()
	return nil
}

func pstr(b []byte, f int, s string) []byte {
	b = pw.AppendTag(b, pw.Number(f), pw.BytesType)
	return pw.AppendString(b, s)
}
func pmsg(b []byte, f int, m []byte) []byte {
	b = pw.AppendTag(b, pw.Number(f), pw.BytesType)
	return pw.AppendBytes(b, m)
}

// pvalue encodes a Go value as google.protobuf.Value
func pvalue(v any) []byte {
	var b []byte
	switch x := v.(type) {
	case string:
		b = pstr(b, 3, x)
	case bool:
		b = pw.AppendTag(b, 4, pw.VarintType)
		n := uint64(0)
		if x {
			n = 1
		}
		b = pw.AppendVarint(b, n)
	case int:
		b = pw.AppendTag(b, 2, pw.Fixed64Type)
		b = pw.AppendFixed64(b, f64(float64(x)))
	case map[string]any:
		b = pmsg(b, 5, pstruct(x))
	case []any:
		var l []byte
		for _, e := range x {
			l = pmsg(l, 1, pvalue(e))
		}
		b = pmsg(b, 6, l)
	}
	return b
}
func pstruct(m map[string]any) []byte {
	var b []byte
	for k, v := range m {
		var e []byte
		e = pstr(e, 1, k)
		e = pmsg(e, 2, pvalue(v))
		b = pmsg(b, 1, e)
	}
	return b
}

func encNode(id, cluster string, meta map[string]any) []byte {
	var b []byte
	b = pstr(b, 1, id)
	b = pstr(b, 2, cluster)
	b = pmsg(b, 3, pstruct(meta))
	// Locality{region,zone}
	var l []byte
	l = pstr(l, 1, "region-1")
	l = pstr(l, 2, "zone-1")
	b = pmsg(b, 4, l)
	// user_agent_name, as envoy sets it
	b = pstr(b, 6, "envoy")
	return b
}

type deltaReq struct {
	node       []byte
	typ        string
	sub, unsub []string
	initial    map[string]string
	nonce      string
}

func (r deltaReq) enc() []byte {
	n := len(r.node) + 128
	for _, s := range r.sub {
		n += len(s) + 4
	}
	b := make([]byte, 0, n)
	if r.node != nil {
		b = pmsg(b, 1, r.node)
	}
	b = pstr(b, 2, r.typ)
	for _, s := range r.sub {
		b = pstr(b, 3, s)
	}
	for _, s := range r.unsub {
		b = pstr(b, 4, s)
	}
	for k, v := range r.initial {
		var e []byte
		e = pstr(e, 1, k)
		e = pstr(e, 2, v)
		b = pmsg(b, 5, e)
	}
	if r.nonce != "" {
		b = pstr(b, 6, r.nonce)
	}
	return b
}

type sotwReq struct {
	node     []byte
	typ, ver string
	names    []string
	nonce    string
}

func (r sotwReq) enc() []byte {
	var b []byte
	if r.ver != "" {
		b = pstr(b, 1, r.ver)
	}
	if r.node != nil {
		b = pmsg(b, 2, r.node)
	}
	for _, s := range r.names {
		b = pstr(b, 3, s)
	}
	b = pstr(b, 4, r.typ)
	if r.nonce != "" {
		b = pstr(b, 5, r.nonce)
	}
	return b
}

// fields walks a message's length-delimited and varint fields.
func fields(b []byte, f func(num pw.Number, v []byte, u uint64)) {
	for len(b) > 0 {
		num, typ, n := pw.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		switch typ {
		case pw.BytesType:
			v, m := pw.ConsumeBytes(b)
			if m < 0 {
				return
			}
			f(num, v, 0)
			b = b[m:]
		case pw.VarintType:
			u, m := pw.ConsumeVarint(b)
			if m < 0 {
				return
			}
			f(num, nil, u)
			b = b[m:]
		default:
			m := pw.ConsumeFieldValue(num, typ, b)
			if m < 0 {
				return
			}
			b = b[m:]
		}
	}
}

type res struct {
	name, version string
	body          []byte // Any.value
	typ           string
}
type response struct {
	typ, nonce, ver string
	res             []res
	removed         []string
}

func decDelta(b []byte) (r response) {
	fields(b, func(n pw.Number, v []byte, _ uint64) {
		switch n {
		case 1:
			r.ver = string(v)
		case 2:
			var x res
			fields(v, func(n pw.Number, v []byte, _ uint64) {
				switch n {
				case 1:
					x.version = string(v)
				case 2:
					x.typ, x.body = decAny(v)
				case 3:
					x.name = intern(v)
				}
			})
			r.res = append(r.res, x)
		case 4:
			r.typ = string(v)
		case 5:
			r.nonce = string(v)
		case 6:
			r.removed = append(r.removed, intern(v))
		}
	})
	return
}
func decSotw(b []byte) (r response) {
	fields(b, func(n pw.Number, v []byte, _ uint64) {
		switch n {
		case 1:
			r.ver = string(v)
		case 2:
			t, body := decAny(v)
			r.res = append(r.res, res{typ: t, body: body})
		case 4:
			r.typ = string(v)
		case 5:
			r.nonce = string(v)
		}
	})
	return
}
func decAny(b []byte) (t string, body []byte) {
	fields(b, func(n pw.Number, v []byte, _ uint64) {
		if n == 1 {
			t = intern(v)
		} else if n == 2 {
			body = v
		}
	})
	return
}

var internMu sync.RWMutex
var internM = map[string]string{}

func intern(b []byte) string {
	internMu.RLock()
	s, ok := internM[string(b)]
	internMu.RUnlock()
	if ok {
		return s
	}
	s = string(b)
	internMu.Lock()
	internM[s] = s
	internMu.Unlock()
	return s
}

var seed = maphash.MakeSeed()

type memoT struct {
	mu sync.RWMutex
	m  map[uint64][]string
}

func (m *memoT) get(b []byte, f func([]byte) []string) []string {
	h := maphash.Bytes(seed, b)
	m.mu.RLock()
	v, ok := m.m[h]
	m.mu.RUnlock()
	if ok {
		return v
	}
	v = f(b)
	m.mu.Lock()
	m.m[h] = v
	m.mu.Unlock()
	return v
}

var cdsMemo = &memoT{m: map[uint64][]string{}}
var ldsMemo = &memoT{m: map[uint64][]string{}}

// clusterInfo returns [name, edsName|""]
func clusterInfo(b []byte) []string {
	return cdsMemo.get(b, func(b []byte) []string {
		var name, svc string
		eds := false
		fields(b, func(n pw.Number, v []byte, u uint64) {
			switch n {
			case 1:
				name = string(v)
			case 2:
				eds = u == 3
			case 3:
				fields(v, func(n pw.Number, v []byte, u uint64) {
					if n == 2 {
						svc = string(v)
					}
				})
			}
		})
		if !eds {
			return []string{name, ""}
		}
		if svc == "" {
			svc = name
		}
		return []string{name, svc}
	})
}

// listenerInfo returns [name, route names...]
func listenerInfo(b []byte) []string {
	return ldsMemo.get(b, func(b []byte) []string {
		out := []string{""}
		seen := map[string]bool{}
		fc := func(b []byte) {
			fields(b, func(n pw.Number, v []byte, _ uint64) {
				if n != 3 {
					return
				}
				fields(v, func(n pw.Number, v []byte, _ uint64) {
					if n != 4 {
						return
					}
					t, body := decAny(v)
					if t != hcmType {
						return
					}
					fields(body, func(n pw.Number, v []byte, _ uint64) {
						if n != 3 {
							return
						}
						fields(v, func(n pw.Number, v []byte, _ uint64) {
							if n == 2 && !seen[string(v)] {
								seen[string(v)] = true
								out = append(out, string(v))
							}
						})
					})
				})
			})
		}
		fields(b, func(n pw.Number, v []byte, _ uint64) {
			switch n {
			case 1:
				out[0] = string(v)
			case 3, 25:
				fc(v)
			}
		})
		return out
	})
}

// firstString returns field 1 as a string (Cluster/CLA/Listener/RouteConfiguration name)
func firstString(b []byte) string {
	s := ""
	fields(b, func(n pw.Number, v []byte, _ uint64) {
		if n == 1 && s == "" {
			s = intern(v)
		}
	})
	return s
}
