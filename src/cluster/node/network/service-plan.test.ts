import assert from "node:assert/strict";
import { test } from "node:test";
import { many } from "../../../base/testing/index.ts";
import type { EndpointSlice, Service } from "../../../api/kubernetes/index.ts";
import { announcedAddresses, announcerOf, planService, unservedPart } from "./service-plan.ts";

const service: Service = {
  metadata: { name: "web", namespace: "default" },
  spec: {
    type: "LoadBalancer",
    clusterIP: "10.96.0.5",
    ports: [{ name: "http", port: 80, targetPort: 8080, nodePort: 30_001 }],
  },
  status: { loadBalancer: { ingress: [{ ip: "172.18.255.200" }] } },
};

function slice(endpoints: NonNullable<EndpointSlice["endpoints"]>): EndpointSlice {
  return {
    metadata: { name: "web-1", namespace: "default" },
    addressType: "IPv4",
    endpoints,
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  };
}

test("the ready endpoints serve a port at its cluster, node and LoadBalancer address", () => {
  const [port] = planService(
    service,
    [
      slice([
        { addresses: ["10.244.1.2"], nodeName: "a" },
        { addresses: ["10.244.2.2"], nodeName: "b" },
        { addresses: ["10.244.2.3"], conditions: { ready: false } },
      ]),
    ],
    "b",
  );
  assert.deepEqual(port?.endpoints, [
    { address: "10.244.1.2", port: 8080, local: false },
    { address: "10.244.2.2", port: 8080, local: true },
  ]);
  assert.deepEqual(
    [port?.clusterAddresses, port?.externalAddresses, port?.nodePort],
    [["10.96.0.5"], ["172.18.255.200"], 30_001],
  );
});

test("without ready endpoints, terminating endpoints that still serve are used", () => {
  const [port] = planService(
    service,
    [
      slice([
        { addresses: ["10.244.1.2"], conditions: { ready: false, serving: true, terminating: true } },
        { addresses: ["10.244.1.3"], conditions: { ready: false, serving: false } },
      ]),
    ],
    "b",
  );
  assert.deepEqual(
    port?.endpoints.map(({ address }) => address),
    ["10.244.1.2"],
  );
});

test("headless and external Services need no rules", () => {
  assert.deepEqual(planService({ metadata: {}, spec: { clusterIP: "None" } }, [], "a"), []);
  assert.deepEqual(planService({ metadata: {}, spec: { type: "ExternalName", externalName: "x" } }, [], "a"), []);
});

test("one worker announces a LoadBalancer, and under the local policy one that has an endpoint", () => {
  const nodes = [
    { name: "c", role: "control-plane" },
    { name: "a", role: "worker" },
    { name: "b", role: "worker" },
  ] as const;
  const chosen = announcerOf(service, [], nodes);
  assert.ok(chosen === "a" || chosen === "b");
  const local = { ...service, spec: { ...service.spec, externalTrafficPolicy: "Local" as const } };
  assert.equal(announcerOf(local, [slice([{ addresses: ["10.244.0.2"], nodeName: "c" }])], nodes), "c");
  assert.equal(announcerOf(local, [], nodes), undefined);
});

test("an endpoint on a loopback or link-local address is ignored", () => {
  const [port] = planService(
    service,
    [
      slice(
        ["127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "10.244.1.2"].map((address) => ({
          addresses: [address],
        })),
      ),
    ],
    "b",
  );
  assert.deepEqual(
    port?.endpoints.map(({ address }) => address),
    ["10.244.1.2"],
  );
});

test("an endpoint port that no protocol has is ignored", () => {
  for (const port of [0, -1, 70_000]) {
    const wild = {
      ...slice([{ addresses: ["10.244.1.2"] }]),
      ports: [{ name: "http", port, protocol: "TCP" as const }],
    };
    assert.deepEqual(planService(service, [wild], "b")[0]?.endpoints, [], String(port));
  }
});

function withStatus(...addresses: readonly string[]): Service {
  return { ...service, status: { loadBalancer: { ingress: addresses.map((ip) => ({ ip })) } } };
}

test("the addresses in a status lead to the Service only if they are outside of the node", () => {
  const wild = withStatus("1.2.3", "not.an.ip", "127.0.0.1", "169.254.169.254", "fd00::1", "172.18.255.200");
  assert.deepEqual(planService(wild, [], "b")[0]?.externalAddresses, ["172.18.255.200"]);
});

test("no node announces an address of another node, of the host, of a pod or of a Service", () => {
  const wild = withStatus(
    "172.18.0.1",
    "172.18.0.2",
    "172.18.0.33",
    "10.244.1.2",
    "10.96.0.1",
    "1.2.3",
    "172.18.255.200",
  );
  assert.deepEqual(announcedAddresses(wild), ["172.18.255.200"]);
});

test("a node serves a part of a Service with very many ports or addresses, with its LoadBalancer address, and says so", () => {
  const wide = (ports: number, addresses: number): Service => ({
    ...service,
    spec: {
      ...service.spec,
      ports: many(ports, (index) => ({ name: `p${index}`, port: index + 1 })),
      externalIPs: many(addresses, (index) => `192.0.${index >> 8}.${index & 255}`),
    },
  });
  const endpoints = many(300, (index) => ({ addresses: [`10.244.${index >> 8}.${index & 255}`] }));
  const wideSlice = { ...slice(endpoints), ports: many(2_000, (index) => ({ name: `p${index}`, port: 8080 })) };
  for (const [ports, addresses, servedPorts, servedAddresses, servedEndpoints] of [
    [3, 20, 3, 21, 300],
    [500, 500, 500, 4, 20],
    [2_000, 0, 1_000, 1, 10],
  ] as const) {
    const planned = planService(wide(ports, addresses), [wideSlice], "b");
    const [first] = planned;
    assert.deepEqual(
      [planned.length, first?.externalAddresses.length, first?.endpoints.length],
      [servedPorts, servedAddresses, servedEndpoints],
    );
    assert.equal(first?.externalAddresses[0], "172.18.255.200");
    assert.equal(unservedPart(wide(ports, addresses)) === undefined, ports === 3, `${ports} ${addresses}`);
  }
});
