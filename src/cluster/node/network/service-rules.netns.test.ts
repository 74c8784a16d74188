import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer, Socket } from "node:net";
import { after, before, test } from "node:test";
import { listenTcpInNamespace, NetworkNamespace, openTcpSocketInNamespace, RouteNetlink } from "../../../net/index.ts";
import { createPodNetwork, type PodAddress } from "./pod-network.ts";
import type { PlannedPort } from "./service-plan.ts";
import { ServiceRules } from "./service-rules.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";

requireOwnNetwork();

/** The addresses of the pods. The test's own network namespace plays the node. */
const addresses: PodAddress[] = [1, 2, 3].map((serial) => ({ ip: `10.244.1.${serial + 1}`, serial }));
const pods: NetworkNamespace[] = [];
let rules: ServiceRules;

const plan: PlannedPort = {
  key: "default/web/http/tcp",
  createdAt: "2026-01-02T00:00:00Z",
  protocol: "tcp",
  clusterAddresses: ["10.96.0.50"],
  externalAddresses: ["172.18.255.200"],
  port: 80,
  nodePort: 30_080,
  endpoints: addresses.slice(0, 2).map(({ ip }) => ({ address: ip, port: 8080, local: true })),
  externalLocal: false,
  internalLocal: false,
  affinityMs: undefined,
};

before(() => {
  writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
  // A route for Service addresses. It leads to no host, but without it the packets would not reach the rules.
  const outside = NetworkNamespace.create();
  using node = new RouteNetlink();
  node.addVeth({ name: "eth0", index: 500, peer: { name: "eth0", index: 2, namespaceFd: outside.fd } });
  node.addAddress(500, { address: "172.18.0.3", prefixLength: 16 });
  node.addRoute({ destination: { address: "0.0.0.0", prefixLength: 0 }, gateway: "172.18.0.1", linkIndex: 500 });
  for (const address of addresses) {
    const namespace = createPodNetwork(address, {});
    pods.push(namespace);
    const server = createServer((socket) => socket.end(`${address.ip} saw ${socket.remoteAddress}`));
    server.listen({ fd: listenTcpInNamespace(namespace.fd, { address: "0.0.0.0", port: 8080 }) });
    server.unref();
  }
  rules = new ServiceRules();
  rules.replaceAll(
    [plan],
    addresses.map(({ ip }) => ip),
  );
});

after(() => {
  rules[Symbol.dispose]();
  for (const pod of pods) pod.close();
});

async function dial(from: NetworkNamespace | undefined, host: string, port: number): Promise<string> {
  const fd = openTcpSocketInNamespace(from?.fd, { family: "ipv4" });
  const socket = new Socket({ fd, readable: true, writable: true });
  socket.setTimeout(10_000, () => socket.destroy(new Error("timeout")));
  return await new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on("close", () => resolve(text));
    socket.connect({ host, port });
  });
}

async function answers(from: NetworkNamespace | undefined, host: string, port = 80): Promise<Set<string>> {
  const servers = new Set<string>();
  for (let count = 0; count < 24; count += 1) servers.add(await dial(from, host, port));
  return servers;
}

test("a pod reaches every endpoint of a Service by its cluster and its LoadBalancer address, with its own source address", async () => {
  const [first, second] = addresses;
  const expected = new Set([`${first?.ip} saw 10.244.1.4`, `${second?.ip} saw 10.244.1.4`]);
  assert.deepEqual(await answers(pods[2], "10.96.0.50"), expected);
  assert.deepEqual(await answers(pods[2], "172.18.255.200"), expected);
});

test("a pod reaches itself through its Service", async () => {
  const servers = await answers(pods[0], "10.96.0.50");
  assert.equal(servers.size, 2);
  assert.ok(
    [...servers].every((answer) => answer.includes(" saw ")),
    [...servers].join(", "),
  );
});

test("endpoints are replaced atomically, and an open connection continues", async () => {
  const fd = openTcpSocketInNamespace(pods[2]?.fd, { family: "ipv4" });
  const echo = createServer((socket) => socket.pipe(socket));
  echo.listen({ fd: listenTcpInNamespace(pods[0]?.fd, { address: "0.0.0.0", port: 9090 }) });
  const steady: PlannedPort = {
    ...plan,
    key: "default/echo/tcp/tcp",
    clusterAddresses: ["10.96.0.51"],
    externalAddresses: [],
    nodePort: undefined,
    endpoints: [{ address: "10.244.1.2", port: 9090, local: true }],
  };
  rules.update(steady);
  const socket = new Socket({ fd, readable: true, writable: true });
  await new Promise<void>((resolve) => socket.connect({ host: "10.96.0.51", port: 80 }, resolve));
  rules.update({ ...steady, endpoints: [{ address: "10.244.1.3", port: 8080, local: true }] });
  assert.deepEqual(await answers(pods[2], "10.96.0.51"), new Set(["10.244.1.3 saw 10.244.1.4"]));
  socket.write("still here");
  assert.equal(String(await new Promise((resolve) => socket.once("data", resolve))), "still here");
  socket.destroy();
  echo.close();
  rules.remove(steady.key);
});

test("an address that several Services name belongs to the Service to which it is assigned, else to the oldest, whatever their order of arrival", async () => {
  const thief: PlannedPort = {
    ...plan,
    key: "a/thief/http/tcp",
    createdAt: "2026-01-03T00:00:00Z",
    clusterAddresses: ["10.96.0.60"],
    externalAddresses: ["10.96.0.50", "172.18.255.200"],
    nodePort: undefined,
    endpoints: [{ address: "10.244.1.4", port: 8080, local: true }],
  };
  const own = new Set(["10.244.1.2 saw 10.244.1.4", "10.244.1.3 saw 10.244.1.4"]);
  const servers = async (address: string): Promise<Set<string>> => await answers(pods[2], address);
  rules.update(thief);
  for (const address of ["10.96.0.50", "172.18.255.200"]) assert.deepEqual(await servers(address), own);
  // Simulate the restart of a node that gets the Service with the wrong claim first.
  rules.replaceAll(
    [thief, plan],
    addresses.map(({ ip }) => ip),
  );
  for (const address of ["10.96.0.50", "172.18.255.200"]) assert.deepEqual(await servers(address), own);
  rules.update({ ...plan, endpoints: [] });
  assert.deepEqual(await servers("10.96.0.50"), new Set(["ECONNREFUSED"]));
  rules.remove(plan.key);
  // The client is itself the endpoint of the Service with the wrong claim. The node replaces the source address when a
  // pod connects to itself through a Service, so the server sees the node's address.
  assert.deepEqual(await servers("172.18.255.200"), new Set(["10.244.1.4 saw 172.18.0.3"]));
  rules.update(plan);
  assert.deepEqual(await servers("172.18.255.200"), own);
  rules.remove(thief.key);
  assert.deepEqual(await servers("10.96.0.50"), own);
});

test("an unanswered connection attempt goes to a current endpoint with its next SYN", async () => {
  const gone: PlannedPort = {
    ...plan,
    key: "default/gone/tcp/tcp",
    clusterAddresses: ["10.96.0.54"],
    externalAddresses: [],
    nodePort: undefined,
    endpoints: [{ address: "10.244.1.99", port: 8080, local: true }],
  };
  assert.equal(rules.update(gone), false);
  const answer = dial(pods[2], "10.96.0.54", 80);
  // By now the first SYN has been sent. The next one follows a second later.
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(rules.update({ ...gone, endpoints: plan.endpoints.slice(0, 1) }), true);
  rules.forgetUnansweredConnects();
  assert.equal(await answer, "10.244.1.2 saw 10.244.1.4");
  rules.remove(gone.key);
});

test("client affinity keeps a client on one endpoint", async () => {
  rules.update({
    ...plan,
    key: "default/sticky/http/tcp",
    clusterAddresses: ["10.96.0.52"],
    externalAddresses: [],
    nodePort: undefined,
    affinityMs: 60_000,
  });
  assert.equal((await answers(pods[2], "10.96.0.52")).size, 1);
  rules.remove("default/sticky/http/tcp");
});

test("a Service without endpoints refuses at once, and works again when it gets one", async () => {
  rules.update({ ...plan, endpoints: [] });
  assert.equal(await dial(pods[2], "10.96.0.50", 80), "ECONNREFUSED");
  rules.update(plan);
  assert.equal((await answers(pods[2], "10.96.0.50")).size, 2);
});

test("the rules accept every shape of Service repeatedly", () => {
  for (let round = 0; round < 3; round += 1) {
    rules.update({
      ...plan,
      key: "a/b/c/udp",
      createdAt: "2026-01-02T00:00:00Z",
      protocol: "udp",
      port: 53,
      nodePort: 30_053,
      clusterAddresses: ["10.96.0.53"],
      externalLocal: round === 1,
      internalLocal: round === 2,
      affinityMs: round === 0 ? 1_000 : undefined,
    });
    rules.update({
      ...plan,
      key: "a/b/c/udp",
      createdAt: "2026-01-02T00:00:00Z",
      protocol: "udp",
      port: 53,
      nodePort: undefined,
      clusterAddresses: ["10.96.0.53"],
      endpoints: [],
    });
  }
  rules.remove("a/b/c/udp");
  assert.deepEqual(rules.keys(), [plan.key]);
});
