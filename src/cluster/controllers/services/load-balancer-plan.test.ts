import assert from "node:assert/strict";
import { test } from "node:test";
import type { IPAddressPool, Service } from "../../../api/kubernetes/index.ts";
import {
  allocate,
  requestedAddresses,
  isAdvertised,
  useOf,
  wantsAddress,
  type Allocation,
} from "./load-balancer-plan.ts";

type ServiceSpec = NonNullable<Service["spec"]>;

const pool = (
  name: string,
  addresses: string[],
  spec: Partial<NonNullable<IPAddressPool["spec"]>> = {},
): IPAddressPool => ({
  metadata: { name },
  spec: { addresses, ...spec },
});
const service = (annotations: Record<string, string> = {}, spec: Partial<ServiceSpec> = {}, name = "web"): Service => ({
  metadata: { name, namespace: "default", annotations },
  spec: { type: "LoadBalancer", ports: [{ port: 80 }], ...spec },
});
const pools = [
  pool("main", ["172.18.255.200-172.18.255.201"]),
  pool("reserved", ["172.18.254.0/24"], { autoAssign: false }),
];
/** Allocates addresses for a Service while the other Services use the address 172.18.255.200. */
const beside = (own: Service, ...others: readonly Service[]): Allocation =>
  allocate(own, pools, new Map([["172.18.255.200", others.map(useOf)]]));
const none = new Map<string, never[]>();

test("a Service gets the lowest free address of the first pool", () => {
  assert.deepEqual(allocate(service(), pools, none), { addresses: ["172.18.255.200"], pool: "main" });
  assert.deepEqual(beside(service(), service({}, {}, "other")), { addresses: ["172.18.255.201"], pool: "main" });
});

test("a full pool is skipped, and if all are full, the reason names them", () => {
  const one = pool("a", ["10.0.0.1/32"]);
  const used = new Map([["10.0.0.1", [useOf(service({}, {}, "other"))]]]);
  assert.deepEqual(allocate(service(), [one, pool("b", ["10.0.0.2/32"])], used), {
    addresses: ["10.0.0.2"],
    pool: "b",
  });
  assert.deepEqual(allocate(service(), [one], used), { addresses: undefined, reason: 'no available IPs in pool "a"' });
});

test("a pool without autoAssign is used only by Services that request it", () => {
  assert.equal(allocate(service(), [pools[1] as IPAddressPool], none).addresses, undefined);
  assert.deepEqual(allocate(service({ "metallb.io/address-pool": "reserved" }), pools, none), {
    addresses: ["172.18.254.0"],
    pool: "reserved",
  });
  assert.deepEqual(allocate(service({ "metallb.io/address-pool": "missing" }), pools, none), {
    addresses: undefined,
    reason: 'unknown pool "missing"',
  });
});

test("a pool with avoidBuggyIPs gives no address that ends in 0 or 255", () => {
  const careful = pool("careful", ["10.0.0.255-10.0.1.1"], { avoidBuggyIPs: true });
  assert.deepEqual(allocate(service(), [careful], none).addresses, ["10.0.1.1"]);
});

test("a requested address is given if a pool has it and it is free", () => {
  const requesting = (address: string): Allocation =>
    beside(service({ "metallb.io/loadBalancerIPs": address }), service({}, {}, "other"));
  assert.deepEqual(requesting("172.18.254.7"), { addresses: ["172.18.254.7"], pool: "reserved" });
  assert.equal(requesting("172.18.255.200").addresses, undefined);
  assert.deepEqual(requesting("1.2.3.4"), { addresses: undefined, reason: '["1.2.3.4"] is not allowed in config' });
  assert.deepEqual(requesting("x"), { addresses: undefined, reason: '"x" is not an IP address' });
});

test("an address is requested by either annotation of MetalLB, or by spec.loadBalancerIP", () => {
  assert.deepEqual(requestedAddresses(service({ "metallb.universe.tf/loadBalancerIPs": "10.0.0.1, fd00::1" })), [
    "10.0.0.1",
    "fd00::1",
  ]);
  assert.deepEqual(requestedAddresses(service({}, { loadBalancerIP: "10.0.0.1" })), ["10.0.0.1"]);
  assert.deepEqual(requestedAddresses(service()), []);
});

test("Services with one sharing key and different ports share an address", () => {
  const shared = (port: number, key = "k", name = "web", protocol: "TCP" | "UDP" = "TCP"): Service =>
    service({ "metallb.io/allow-shared-ip": key }, { ports: [{ port, protocol }] }, name);
  const holder = shared(80, "k", "holder");
  assert.deepEqual(beside(shared(81), holder).addresses, ["172.18.255.200"]);
  assert.deepEqual(beside(shared(80, "k", "web", "UDP"), holder).addresses, ["172.18.255.200"]);
  assert.deepEqual(beside(shared(80), holder).addresses, ["172.18.255.201"]);
  assert.deepEqual(beside(shared(81, "other"), holder).addresses, ["172.18.255.201"]);
  assert.deepEqual(beside(service({}, { ports: [{ port: 81 }] }), holder).addresses, ["172.18.255.201"]);
});

test("a Service of two families gets an address of each, from one pool", () => {
  const dual = service({}, { ipFamilies: ["IPv4", "IPv6"] });
  assert.equal(allocate(dual, [pool("v4", ["10.0.0.0/24"])], none).addresses, undefined);
  const both = pool("both", ["10.0.0.2/32", "fd00::1/128"]);
  assert.deepEqual(allocate(dual, [pool("a", ["10.0.0.1/32"]), both], none), {
    addresses: ["10.0.0.2", "fd00::1"],
    pool: "both",
  });
});

test("only LoadBalancers without a class that are not being deleted need an address", () => {
  assert.equal(wantsAddress(service()), true);
  assert.equal(wantsAddress(service({}, { type: "ClusterIP" })), false);
  assert.equal(wantsAddress(service({}, { loadBalancerClass: "example.com/lb" })), false);
  const going = service();
  going.metadata.deletionTimestamp = "2026-01-01T00:00:00Z";
  assert.equal(wantsAddress(going), false);
});

test("an advertisement announces the pools that it names or selects, or all if it does neither", () => {
  const main = { ...pool("main", []), metadata: { name: "main", labels: { zone: "a" } } };
  const announced = (spec: NonNullable<Parameters<typeof isAdvertised>[1][number]["spec"]>): boolean =>
    isAdvertised(main, [{ metadata: { name: "l2" }, spec }]);
  assert.equal(announced({}), true);
  assert.equal(announced({ ipAddressPools: ["main"] }), true);
  assert.equal(announced({ ipAddressPools: ["other"] }), false);
  assert.equal(announced({ ipAddressPoolSelectors: [{ matchLabels: { zone: "a" } }] }), true);
  assert.equal(announced({ ipAddressPoolSelectors: [{ matchLabels: { zone: "b" } }] }), false);
  assert.equal(isAdvertised(main, []), false);
});

test("Services with externalTrafficPolicy Local share an address only if they select the same pods", () => {
  const shared = (port: number, name: string, spec: Partial<ServiceSpec> = {}): Service =>
    service({ "metallb.io/allow-shared-ip": "k" }, { ports: [{ port }], ...spec }, name);
  const local = (app: string): Partial<ServiceSpec> => ({
    externalTrafficPolicy: "Local",
    selector: { app, tier: "x" },
  });
  const address = (own: Service, holder: Service): string | undefined => beside(own, holder).addresses?.[0];
  assert.equal(address(shared(81, "web", local("a")), shared(80, "holder", local("a"))), "172.18.255.200");
  assert.equal(address(shared(81, "web", local("a")), shared(80, "holder", local("b"))), "172.18.255.201");
  assert.equal(address(shared(81, "web"), shared(80, "holder", local("a"))), "172.18.255.201");
  assert.equal(
    address(shared(81, "web", { selector: { app: "a" } }), shared(80, "holder", { selector: { app: "b" } })),
    "172.18.255.200",
  );
});
