import assert from "node:assert/strict";
import { test } from "node:test";
import { many } from "../../../base/testing/index.ts";
import type { Container, NetworkPolicy, Pod } from "../../../api/kubernetes/index.ts";
import { maxSelectorParts } from "./network-policy-peers.ts";
import {
  maxExceptionsPerDirection,
  maxRulesPerDirection,
  planNetworkPolicies,
  type PodIsolation,
} from "./network-policy-plan.ts";

type Spec = NonNullable<NetworkPolicy["spec"]>;
type Ports = NonNullable<Container["ports"]>;

const pod = (key: string, ip: string, labels: Record<string, string>, ports: Ports = []): Pod => {
  const [namespace = "", name = ""] = key.split("/");
  return {
    metadata: { name, namespace, labels },
    spec: { containers: [{ name: "app", ports }] },
    status: { phase: "Running", podIP: ip },
  };
};
const web = pod("shop/web", "10.244.1.2", { app: "web" }, [{ name: "http", containerPort: 8080, protocol: "TCP" }]);
const cart = pod("shop/cart", "10.244.1.3", { app: "cart" }, [{ name: "http", containerPort: 9090, protocol: "TCP" }]);
const other = pod("other/cart", "10.244.2.2", { app: "cart" });
const dns: Pod = {
  metadata: {
    name: "coredns-cp",
    namespace: "kube-system",
    labels: { "k8s-app": "kube-dns" },
    annotations: { "kubernetes.io/config.mirror": "coredns" },
  },
  spec: { containers: [], hostNetwork: true },
  status: { phase: "Running", podIP: "172.18.0.2" },
};
const onHost: Pod = { ...other, spec: { containers: [], hostNetwork: true } };

function plan(
  specs: readonly Spec[],
  local: Pod = web,
  pods: readonly Pod[] = [web, cart, other, dns],
): PodIsolation[] {
  return planNetworkPolicies({
    policies: specs.map((spec, index) => ({ metadata: { name: `p${index}`, namespace: "shop" }, spec })),
    localPods: [{ pod: local, address: local.status?.podIP ?? "" }],
    pods,
    namespaceLabels: (name) => ({ "kubernetes.io/metadata.name": name }),
  });
}

const only = (spec: Spec, local?: Pod, pods?: readonly Pod[]): PodIsolation => {
  const [isolation] = plan([spec], local, pods);
  assert.ok(isolation !== undefined);
  return isolation;
};
const tcp = (first: number, last = first) => ({ protocol: "tcp" as const, first, last });
const from = (...addresses: string[]) => ({ kind: "addresses" as const, addresses });

test("only selected pods are isolated, in the directions of the policy's types or of their defaults", () => {
  const types = (spec: Spec): unknown[] => {
    const { ingress, egress } = only(spec);
    return [ingress, egress];
  };
  assert.deepEqual(plan([{ podSelector: { matchLabels: { app: "cart" } } }]), []);
  assert.deepEqual(plan([{}], other), [], "a policy of another namespace");
  assert.deepEqual(types({ podSelector: {} }), [[], undefined]);
  assert.deepEqual(types({}), [[], undefined]);
  assert.deepEqual(types({ egress: [{}] }), [[], [{ peer: { kind: "any" }, ports: undefined }]]);
  assert.deepEqual(types({ policyTypes: ["Egress"], ingress: [{}] }), [undefined, []]);
  assert.deepEqual(types({ ingress: [{}], policyTypes: ["Ingress"] })[0], [
    { peer: { kind: "any" }, ports: undefined },
  ]);
});

test("a connection is allowed if any of several policies allows it", () => {
  const [isolation] = plan([{}, { ingress: [{ from: [{ podSelector: {} }] }] }, { policyTypes: ["Egress"] }]);
  assert.deepEqual(isolation?.ingress, [{ peer: from("10.244.1.2", "10.244.1.3"), ports: undefined }]);
  assert.deepEqual(isolation.egress, []);
});

test("peers are pods of the policy's namespace, pods of selected namespaces, pods of both selections, or address blocks", () => {
  const peersOf = (peers: NonNullable<Spec["ingress"]>[0]["from"], pods?: readonly Pod[]): unknown =>
    only({ ingress: [{ from: peers ?? [] }] }, web, pods).ingress?.map(({ peer }) => peer);
  const carts = { matchLabels: { app: "cart" } };
  const named = { matchLabels: { "kubernetes.io/metadata.name": "other" } };
  assert.deepEqual(peersOf([{ podSelector: carts }]), [from("10.244.1.3")]);
  assert.deepEqual(peersOf([{ namespaceSelector: named }]), [from("10.244.2.2")]);
  assert.deepEqual(peersOf([{ namespaceSelector: {}, podSelector: carts }]), [from("10.244.1.3", "10.244.2.2")]);
  assert.deepEqual(peersOf([{ namespaceSelector: named, podSelector: { matchLabels: { app: "web" } } }]), []);
  const block = { cidr: "10.0.0.0/8", except: ["10.244.1.0/24"] };
  assert.deepEqual(peersOf([{ podSelector: carts }, { ipBlock: block }]), [
    from("10.244.1.3"),
    { kind: "block", ...block },
  ]);
  assert.deepEqual(peersOf([{ ipBlock: { cidr: "2001:db8::/64" } }]), [], "the lab has no addresses of version 6");
  assert.deepEqual(peersOf([{ namespaceSelector: {} }], [onHost, { ...cart, status: { phase: "Succeeded" } }]), []);
});

test("ports are numbers, ranges, all of a protocol, or names of the isolated pod's own ports", () => {
  const portsOf = (...ports: NonNullable<Spec["ingress"]>[0]["ports"] & object): unknown =>
    only({ ingress: [{ ports }] }).ingress?.map((each) => each.ports);
  assert.deepEqual(portsOf({ port: 80 }, { port: 1000, endPort: 2000, protocol: "SCTP" }, { protocol: "UDP" }), [
    [tcp(80), { protocol: "sctp", first: 1000, last: 2000 }, { protocol: "udp", first: 0, last: 65_535 }],
  ]);
  assert.deepEqual(portsOf({ port: "http" }), [[tcp(8080)]]);
  assert.deepEqual(portsOf({ port: "http", protocol: "UDP" }), [], "a name that the pod does not have allows nothing");
});

test("a named port of egress is the destination's number, whatever the destination is", () => {
  const named = { ports: [{ port: "http" }] };
  assert.deepEqual(only({ egress: [{ ...named, to: [{ podSelector: {} }] }] }).egress, [
    { peer: from("10.244.1.2"), ports: [tcp(8080)] },
    { peer: from("10.244.1.3"), ports: [tcp(9090)] },
  ]);
  assert.equal(only({ egress: [named] }).egress?.length, 2);
  assert.deepEqual(only({ egress: [{ ...named, to: [{ ipBlock: { cidr: "10.0.0.0/8" } }] }] }).egress, []);
});

test("the cluster's name server is a peer of egress by the labels of its pod, with port 53 alone", () => {
  const to = [{ namespaceSelector: {}, podSelector: { matchLabels: { "k8s-app": "kube-dns" } } }];
  const udp = { protocol: "udp" as const, first: 53, last: 53 };
  const egress = (rule: NonNullable<Spec["egress"]>[0]): unknown => only({ egress: [rule] }).egress;
  assert.deepEqual(egress({ to }), [{ peer: from("172.18.0.2"), ports: [udp, tcp(53)] }]);
  assert.deepEqual(egress({ to, ports: [{ port: 53, protocol: "UDP" }] }), [
    { peer: from("172.18.0.2"), ports: [udp] },
  ]);
  assert.deepEqual(egress({ to, ports: [{ port: 6443 }] }), []);
  assert.deepEqual(only({ ingress: [{ from: to }] }).ingress, []);
});

test("a direction with more rules than the bound allows no traffic, and is reported", () => {
  const ports = Array.from({ length: maxRulesPerDirection }, (_, index) => ({ port: index + 1 }));
  const full = only({ ingress: [{ ports }] });
  assert.deepEqual([full.ingress?.length, full.overfull], [1, []]);
  const over = only({ ingress: [{ ports }, {}] });
  assert.deepEqual([over.ingress, over.overfull], [[], ["ingress"]]);
});

test("policies that allow nothing do not keep the node busy, however many rules, ports and selectors they have", () => {
  const pods = Array.from({ length: 500 }, (_, index) =>
    pod(`shop/p${index}`, `10.244.${index >> 8}.${index & 255}`, { app: "x", index: String(index) }),
  );
  const local = pods[0] ?? web;
  const nobody = { podSelector: { matchLabels: { app: "nobody" } } };
  const startedMs = performance.now();
  for (const rule of [
    { from: [nobody] },
    { ports: Array.from({ length: 10 }, (_, index) => ({ port: `name-${index}` })) },
  ]) {
    const { ingress, overfull } = only({ ingress: Array.from({ length: 30_000 }, () => ({ ...rule })) }, local, pods);
    assert.deepEqual([ingress, overfull], [[], ["ingress"]]);
  }
  const selectors = [
    Array.from({ length: maxSelectorParts }, () => nobody),
    [
      {
        podSelector: {
          matchExpressions: [{ key: "index", operator: "In" as const, values: many(maxSelectorParts, String) }],
        },
      },
    ],
  ];
  for (const from of selectors) assert.deepEqual(only({ ingress: [{ from }] }, local, pods).overfull, ["ingress"]);
  const blocks = many(maxExceptionsPerDirection + 1, (index) => `10.${index >> 8}.${index & 255}.0/24`);
  const block = { ipBlock: { cidr: "10.0.0.0/8", except: blocks } };
  assert.deepEqual(only({ egress: [{ to: [block] }] }).overfull, ["egress"]);
  assert.ok(performance.now() - startedMs < 5_000, `took ${Math.round(performance.now() - startedMs)} ms`);
});

test("pod selectors of a namespace that are too large together close all of its pods, and are not compared with them", () => {
  const localPods = Array.from({ length: 100 }, (_, index) => {
    const address = `10.244.3.${index}`;
    return { pod: pod(`shop/web-${index}`, address, { app: "web" }), address };
  });
  const neighbour = { pod: other, address: "10.244.2.2" };
  const planned = (values: number): readonly PodIsolation[] =>
    planNetworkPolicies({
      policies: [
        ...Array.from({ length: 50 }, (_, index): NetworkPolicy => ({
          metadata: { name: `p${index}`, namespace: "shop" },
          spec: { podSelector: { matchExpressions: [{ key: "app", operator: "In", values: many(values, String) }] } },
        })),
        { metadata: { name: "own", namespace: "other" }, spec: { podSelector: {}, egress: [{}] } },
      ],
      localPods: [...localPods, neighbour],
      pods: [other],
      namespaceLabels: () => ({}),
    });
  const shown = (values: number) =>
    planned(values).map(({ address, overfull, egress }) => [address, overfull, egress?.length]);
  assert.deepEqual(shown(maxSelectorParts / 50 - 2), [["10.244.2.2", [], 1]]);
  assert.deepEqual(shown(maxSelectorParts / 50), [
    ...localPods.map(({ address }) => [address, ["ingress"], undefined]),
    ["10.244.2.2", [], 1],
  ]);
  const start = performance.now();
  planned(20_000);
  assert.ok(performance.now() - start < 2_000, "it took 2 s or longer");
});

test("a rule is matched once for all pods that it isolates", () => {
  let asked = 0;
  const pods = Array.from({ length: 100 }, (_, index) => pod(`shop/p${index}`, `10.244.0.${index}`, { app: "x" }));
  planNetworkPolicies({
    policies: [
      { metadata: { name: "p", namespace: "shop" }, spec: { ingress: [{ from: [{ namespaceSelector: {} }] }] } },
    ],
    localPods: pods.map((each) => ({ pod: each, address: each.status?.podIP ?? "" })),
    pods,
    namespaceLabels: () => {
      asked += 1;
      return {};
    },
  });
  assert.equal(asked, pods.length);
});
