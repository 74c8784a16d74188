// Tests with a node and pods as in the lab, and the real API server. The tests write policies and check by connections
// which traffic passes.
import assert from "node:assert/strict";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { after, before, test } from "node:test";
import {
  namespaceKind,
  networkPolicyKind,
  podKind,
  serviceAccountKind,
  type NetworkPolicy,
  type Pod,
} from "../../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../../base/index.ts";
import { until } from "../../../base/testing/index.ts";
import { createKubeClient } from "../../../kube/index.ts";
import {
  bindUdpInNamespace,
  listenTcpInNamespace,
  NetworkNamespace,
  NftNetlink,
  openTcpSocketInNamespace,
  RouteNetlink,
} from "../../../net/index.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";
import { ServerHarness } from "../../apiserver/testing/index.ts";
import { NetworkPolicies } from "./network-policies.ts";
import type { PodIsolation } from "./network-policy-plan.ts";
import { NetworkPolicyRules } from "./network-policy-rules.ts";
import { createPodNetwork, type PodAddress } from "./pod-network.ts";
import type { PlannedPort } from "./service-plan.ts";
import { ServiceRules } from "./service-rules.ts";

requireOwnNetwork();

type Spec = NonNullable<NetworkPolicy["spec"]>;
type Target = "web" | "cart" | "load" | "node" | "outside";

const nodeAddress = "172.18.0.2";
const outsideAddress = "172.18.0.1";
const names = ["web", "cart", "load"] as const;
const namespace = "default";
const options = { log: silentLogger, clock: systemClock };
/**
 * How long a connection must fail. It is longer than the first retransmission of a lost packet, which must be refused
 * too.
 */
const deniedMs = 1_200;
const ports = [53, 8080, 8081, 8082, 15_008];

const harness = new ServerHarness();
const networks = new Map<Target, NetworkNamespace>();
const addresses = new Map<string, PodAddress>(
  names.map((name, index) => [name, { ip: `10.244.0.${index + 2}`, serial: index + 1 }]),
);
const stop = new AbortController();
const localPods: { pod: Pod; address: string }[] = [];
let client: ReturnType<typeof createKubeClient>;
let policies: NetworkPolicies;
let running: Promise<void>;

const addressOf = (target: Target): string =>
  target === "node" ? nodeAddress : target === "outside" ? outsideAddress : (addresses.get(target)?.ip ?? "");

function serve(target: Target): void {
  for (const port of ports) {
    const server = createServer((socket) => socket.on("error", () => undefined).pipe(socket));
    server.listen({ fd: listenTcpInNamespace(networks.get(target)?.fd, { address: addressOf(target), port }) });
    server.unref();
  }
}

before(async () => {
  writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
  const outside = NetworkNamespace.create();
  networks.set("outside", outside);
  using node = new RouteNetlink();
  node.addVeth({ name: "eth0", index: 500, peer: { name: "eth0", index: 2, namespaceFd: outside.fd } });
  node.addAddress(500, { address: nodeAddress, prefixLength: 16 });
  using far = new RouteNetlink(outside.fd);
  far.setLink(2, { up: true });
  far.addAddress(2, { address: outsideAddress, prefixLength: 16 });
  far.addRoute({ destination: { address: "0.0.0.0", prefixLength: 0 }, gateway: nodeAddress, linkIndex: 2 });
  node.addRoute({ destination: { address: "0.0.0.0", prefixLength: 0 }, gateway: outsideAddress, linkIndex: 500 });
  for (const [name, address] of addresses) networks.set(name as Target, createPodNetwork(address, {}));
  for (const target of [...names, "node", "outside"] as const) serve(target);
  await startCluster();
});

async function startCluster(): Promise<void> {
  await harness.start();
  const pem = (path: string): string => readFileSync(path, "utf8");
  const connect = ({ certificate, key }: { certificate: string; key: string }): typeof client =>
    createKubeClient(
      {
        server: `https://127.0.0.1:${harness.port}`,
        context: "test",
        namespace,
        ca: pem(harness.pki.caCertificate),
        clientCertificate: { certificate: pem(certificate), key: pem(key) },
      },
      options,
    );
  client = connect(harness.pki.admin);
  await client.create(serviceAccountKind, { metadata: { name: "default", namespace } });
  for (const name of names) {
    const labels = { app: name };
    const container = { name: "app", image: "app", ports: [{ name: "http", containerPort: 8080 }] };
    await client.create(podKind, {
      metadata: { name, namespace, labels },
      spec: { nodeName: "node-a", containers: [container] },
    });
    const status = { phase: "Running", podIP: addressOf(name), podIPs: [{ ip: addressOf(name) }] };
    const pod = await client.patchMerge(podKind, name, namespace, { status }, { subresource: "status" });
    localPods.push({ pod, address: addressOf(name) });
  }
  const identity = harness.pki.nodes["node-a"];
  assert.ok(identity !== undefined);
  // The policies use a client with a node's own rights.
  policies = new NetworkPolicies({
    ...options,
    client: connect(identity),
    localPods: () => localPods,
    nameServer: nodeAddress,
  });
  running = policies.run(stop.signal);
}

after(async () => {
  stop.abort();
  await running;
  client.close();
  for (const network of networks.values()) network.close();
  await harness.remove();
});

function open(from: Target, host: string, port: number): Promise<Socket | undefined> {
  const fd = openTcpSocketInNamespace(networks.get(from)?.fd, { family: "ipv4" });
  const socket = new Socket({ fd, readable: true, writable: true });
  return new Promise((resolve) => {
    const end = (): void => {
      socket.destroy();
      resolve(undefined);
    };
    socket.setTimeout(deniedMs, end);
    socket.once("error", end);
    socket.connect({ host, port }, () => {
      socket.setTimeout(0);
      resolve(socket);
    });
  });
}

async function echoes(socket: Socket): Promise<boolean> {
  socket.write("?");
  const answer = await Promise.race([
    new Promise((resolve) => socket.once("data", resolve)),
    systemClock.sleep(deniedMs).then(() => undefined),
  ]);
  return answer !== undefined;
}

/** Whether a connection succeeds, from a party of the test to another party or to an address. */
async function reaches(from: Target, to: string, port = 8080): Promise<boolean> {
  const host = networks.has(to as Target) || to === "node" ? addressOf(to as Target) : to;
  const socket = await open(from, host, port);
  socket?.destroy();
  return socket !== undefined;
}

/** Tries all connections at the same time. Returns those that succeed. */
async function passing(...tries: readonly (readonly [Target, string, number?])[]): Promise<boolean[]> {
  return await Promise.all(tries.map(async ([from, to, port]) => await reaches(from, to, port)));
}

function chainNames(): string[] {
  using netlink = new NftNetlink();
  return netlink.chains("ip", "serin-policies").filter((name) => name.includes("/"));
}

/** Writes the policy, and waits until the node's rules have changed. */
async function write(name: string, spec: Spec): Promise<void> {
  const before = chainNames().join();
  const known = await client.get(networkPolicyKind, name, namespace);
  if (known === undefined) await client.create(networkPolicyKind, { metadata: { name, namespace }, spec });
  else await client.update(networkPolicyKind, { ...known, spec });
  await until(() => chainNames().join() !== before, "other rules");
}

async function remove(name: string): Promise<void> {
  const before = chainNames().join();
  await client.delete(networkPolicyKind, name, namespace);
  await until(() => chainNames().join() !== before, "other rules");
}

const app = (name: string): { matchLabels: Record<string, string> } => ({ matchLabels: { app: name } });
const web = { podSelector: app("web") };

test("ingress: allowed peers reach only the allowed port, such as HBONE's, and the node's probes always pass", async () => {
  assert.deepEqual(await passing(["load", "web"], ["outside", "web"], ["load", "web", 15_008]), [true, true, true]);
  await write("web", { ...web, ingress: [{ from: [{ podSelector: app("cart") }], ports: [{ port: "http" }] }] });
  assert.deepEqual(
    await passing(
      ["cart", "web"],
      ["cart", "web", 15_008],
      ["load", "web"],
      ["outside", "web"],
      ["node", "web"],
      ["node", "web", 15_008],
      ["load", "cart"],
      ["web", "load"],
    ),
    [true, false, false, false, true, true, true, true],
  );
});

test("update: another peer and a range of ports are allowed at once, and an open connection continues", async () => {
  const socket = await open("cart", addressOf("web"), 8080);
  assert.ok(socket !== undefined);
  assert.equal(await echoes(socket), true);
  const block = { ipBlock: { cidr: "172.18.0.0/16", except: ["172.18.128.0/17"] } };
  const range = [{ port: 8081, endPort: 8082 }];
  await write("web", { ...web, ingress: [{ from: [{ podSelector: app("load") }, block], ports: range }] });
  assert.deepEqual(
    await passing(
      ["cart", "web"],
      ["load", "web"],
      ["load", "web", 8081],
      ["load", "web", 8082],
      ["load", "web", 15_008],
      ["outside", "web", 8082],
    ),
    [false, false, true, true, false, true],
  );
  assert.equal(await echoes(socket), true);
  socket.destroy();
  await write("web", {
    ...web,
    ingress: [{ from: [{ ipBlock: { cidr: "172.18.0.0/16", except: [`${outsideAddress}/32`] } }] }],
  });
  assert.deepEqual(await passing(["outside", "web"], ["load", "web"]), [false, false]);
});

test("a block with many exceptions excludes each of them, and other pods' policies still take effect", async () => {
  const except = Array.from({ length: 300 }, (_, index) => `172.18.${Math.floor(index / 2)}.${(index % 2) * 128}/26`);
  await write("web", { ...web, ingress: [{ from: [{ ipBlock: { cidr: "172.16.0.0/12", except } }] }] });
  assert.equal(await reaches("outside", "web"), false);
  await write("web", {
    ...web,
    ingress: [{ from: [{ ipBlock: { cidr: "172.16.0.0/12", except: except.slice(2) } }] }],
  });
  await write("cart", { podSelector: app("cart") });
  assert.deepEqual(await passing(["outside", "web"], ["load", "web"], ["load", "cart"]), [true, false, false]);
  await remove("cart");
});

test("delete: without policies every pod reaches every other, and no rules remain", async () => {
  await remove("web");
  assert.deepEqual(chainNames(), []);
  assert.deepEqual(await passing(["load", "web"], ["outside", "web"], ["cart", "web", 15_008]), [true, true, true]);
});

test("egress: DNS must be allowed too, other ports of the pod's node are always allowed, and a pod reaches itself", async () => {
  const load = { podSelector: app("load"), policyTypes: ["Egress" as const] };
  await write("load", { ...load, egress: [{ to: [{ podSelector: app("web") }] }] });
  const service: PlannedPort = {
    key: "default/load/http/tcp",
    createdAt: "2026-01-02T00:00:00Z",
    protocol: "tcp",
    clusterAddresses: ["10.96.0.50"],
    externalAddresses: [],
    port: 80,
    nodePort: undefined,
    endpoints: [{ address: addressOf("load"), port: 8080, local: true }],
    externalLocal: false,
    internalLocal: false,
    affinityMs: undefined,
  };
  using services = new ServiceRules();
  services.replaceAll(
    [
      service,
      {
        ...service,
        key: "default/cart/http/tcp",
        clusterAddresses: ["10.96.0.51"],
        endpoints: [{ address: addressOf("cart"), port: 8080, local: true }],
      },
    ],
    names.map(addressOf),
  );
  assert.deepEqual(
    await passing(
      ["load", "web"],
      ["load", "web", 15_008],
      ["load", "cart"],
      ["load", "10.96.0.51", 80],
      ["load", "10.96.0.50", 80],
      ["load", "outside"],
      ["load", "node", 53],
      ["load", "node", 8080],
      ["cart", "node", 53],
      ["cart", "load"],
    ),
    [true, true, false, false, true, false, false, true, true, true],
  );
  await write("dns", {
    ...load,
    egress: [{ to: [{ ipBlock: { cidr: `${nodeAddress}/32` } }], ports: [{ port: 53 }] }],
  });
  assert.deepEqual(await passing(["load", "node", 53], ["load", "cart"]), [true, false]);
  await remove("dns");
  await remove("load");
});

test("a pod that sends from another pod's address reaches no other pod", async () => {
  await write("web", { ...web, ingress: [{ from: [{ podSelector: app("cart") }] }] });
  const port = 7000;
  const bind = (target: Target, address: string): UdpSocket =>
    createSocket("udp4").bind({ fd: bindUdpInNamespace(networks.get(target)?.fd, { address, port }) });
  // A pod with NET_RAW, which pods have by default, can write any source address into a packet.
  using links = new RouteNetlink(networks.get("load")?.fd);
  links.addAddress(1, { address: addressOf("cart"), prefixLength: 32 });
  const [server, liar, cart] = [
    bind("web", addressOf("web")),
    bind("load", addressOf("cart")),
    bind("cart", addressOf("cart")),
  ];
  const texts: string[] = [];
  server.on("message", (message) => texts.push(message.toString()));
  await until(async () => {
    liar.send("from load", port, addressOf("web"));
    await systemClock.sleep(50);
    cart.send("from cart", port, addressOf("web"));
    return texts.includes("from cart");
  }, "the allowed datagram arrives");
  assert.deepEqual([...new Set(texts)], ["from cart"]);
  for (const socket of [server, liar, cart]) socket.close();
  links.deleteAddress(1, { address: addressOf("cart"), prefixLength: 32 });
  await remove("web");
});

test("changed labels of namespaces and pods take effect, and the rules of an ended pod are removed", async () => {
  await write("web", { ...web, ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: "shop" } } }] }] });
  assert.equal(await reaches("cart", "web"), false);
  await client.patchMerge(namespaceKind, namespace, undefined, { metadata: { labels: { team: "shop" } } });
  await until(async () => await reaches("cart", "web"), "the label counts");
  await write("web", { ...web, ingress: [{ from: [{ podSelector: { matchLabels: { role: "front" } } }] }] });
  assert.equal(await reaches("cart", "web"), false);
  await client.patchMerge(podKind, "cart", namespace, { metadata: { labels: { role: "front" } } });
  await until(async () => await reaches("cart", "web"), "the label counts");
  localPods.shift();
  policies.podsChanged();
  await until(() => chainNames().length === 0, "no rules");
});

test("if the kernel refuses the rules of one pod, nothing reaches it, and the others' policies take effect", () => {
  using rules = new NetworkPolicyRules();
  const isolation = (address: string, cidr: string): PodIsolation => ({
    address,
    overfull: [],
    ingress: [{ peer: { kind: "block", cidr, except: [] }, ports: undefined }],
    egress: undefined,
  });
  const all = [
    isolation("10.244.9.1", "10.0.0.0/8"),
    isolation("10.244.9.2", "10.0.0.0/999"),
    isolation("10.244.9.3", "10.0.0.0/8"),
  ];
  const refused: string[] = [];
  assert.throws(() => rules.replaceAll(all, undefined));
  rules.replaceEach(all, undefined, ({ address }) => {
    refused.push(address);
    assert.equal(rules.addresses().length, 3, "a pod whose turn has not come is closed, not open");
  });
  assert.deepEqual(refused, ["10.244.9.2"]);
  assert.deepEqual(rules.addresses(), ["10.244.9.1", "10.244.9.2", "10.244.9.3"]);
  rules.replaceAll([], undefined);
});

test("a new node process takes over the rules, and removes those without a policy", async () => {
  localPods.unshift({
    pod: { metadata: { name: "web", namespace, labels: { app: "web" } } },
    address: addressOf("web"),
  });
  policies.podsChanged();
  await until(() => chainNames().length > 0, "rules");
  stop.abort();
  await running;
  assert.equal(await reaches("load", "web"), false, "the rules stay without the process");
  const next = new AbortController();
  const successor = new NetworkPolicies({ ...options, client, localPods: () => localPods, nameServer: nodeAddress });
  const run = successor.run(next.signal);
  await until(() => chainNames().join() === `ingress/${addressOf("web")}/1`, "the successor's rules");
  assert.equal(await reaches("load", "web"), false);
  await client.delete(networkPolicyKind, "web", namespace);
  await until(() => chainNames().length === 0, "no rules");
  assert.equal(await reaches("load", "web"), true);
  next.abort();
  await run;
});
