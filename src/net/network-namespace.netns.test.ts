import assert from "node:assert/strict";
import { readlinkSync } from "node:fs";
import { createServer, Socket, type Server } from "node:net";
import { test } from "node:test";
import {
  closeDescriptor,
  listenTcpInNamespace,
  openTcpSocketInNamespace,
  originalDestination,
  socketName,
} from "./namespace-socket.ts";
import { bytePath } from "./byte-path.ts";
import { NetworkNamespace } from "./network-namespace.ts";
import { NftNetlink } from "./nft-netlink.ts";
import { RouteNetlink } from "./route-netlink.ts";
import { action, match, NftTransaction } from "../wire/netlink/index.ts";
import { requireOwnNetwork } from "./testing/own-network.ts";

requireOwnNetwork();

const home = readlinkSync("/proc/thread-self/ns/net");

/** Two namespaces, `left` 10.1.0.1 and `right` 10.1.0.2, joined by a veth pair. */
function pair(): { left: NetworkNamespace; right: NetworkNamespace } {
  const left = NetworkNamespace.create();
  const right = NetworkNamespace.create();
  const leftLinks = new RouteNetlink(left.fd);
  const rightLinks = new RouteNetlink(right.fd);
  leftLinks.batch(() => {
    leftLinks.setLoopbackUp();
    leftLinks.addVeth({ name: "eth0", index: 2, peer: { name: "eth0", index: 2, namespaceFd: right.fd } });
    leftLinks.addAddress(2, { address: "10.1.0.1", prefixLength: 24 });
    leftLinks.addAddress(2, { address: "fd00::1", prefixLength: 64 });
  });
  rightLinks.setLoopbackUp();
  rightLinks.setLink(2, { up: true });
  rightLinks.addAddress(2, { address: "10.1.0.2", prefixLength: 24 });
  rightLinks.addAddress(2, { address: "fd00::2", prefixLength: 64 });
  leftLinks.close();
  rightLinks.close();
  return { left, right };
}

function serve(fd: number, answer: (socket: Socket) => string): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.end(answer(socket));
    });
    server.listen({ fd }, () => resolve(server));
  });
}

function readFrom(namespace: NetworkNamespace, address: string, port: number): Promise<string> {
  const fd = openTcpSocketInNamespace(namespace.fd, { family: address.includes(":") ? "ipv6" : "ipv4" });
  return new Promise((resolve, reject) => {
    const socket = new Socket({ fd, readable: true, writable: true });
    let text = "";
    socket.on("error", reject);
    socket.on("data", (data) => (text += data.toString()));
    socket.on("close", () => resolve(text));
    socket.connect({ host: address, port });
  });
}

test("a section runs in the namespace and the thread returns, even after an error", () => {
  using namespace = NetworkNamespace.create();
  const inside = namespace.enter(() => readlinkSync("/proc/thread-self/ns/net"));
  assert.notEqual(inside, home);
  assert.equal(inside, `net:[${namespace.inode}]`);
  assert.throws(() => namespace.enter(() => assert.fail("thrown inside")), /thrown inside/);
  assert.equal(readlinkSync("/proc/thread-self/ns/net"), home);
});

test("a veth pair carries TCP of both families between namespaces", async () => {
  const { left, right } = pair();
  const four = await serve(
    listenTcpInNamespace(right.fd, { address: "10.1.0.2", port: 80 }),
    (socket) => `from ${socket.remoteAddress}`,
  );
  const six = await serve(
    listenTcpInNamespace(right.fd, { address: "fd00::2", port: 80 }),
    (socket) => `from ${socket.remoteAddress}`,
  );
  assert.equal(await readFrom(left, "10.1.0.2", 80), "from 10.1.0.1");
  assert.equal(await readFrom(left, "fd00::2", 80), "from fd00::1");
  four.close();
  six.close();
  left.close();
  right.close();
});

test("the kernel's refusals name the operation and the errno", () => {
  using namespace = NetworkNamespace.create();
  using links = new RouteNetlink(namespace.fd);
  assert.throws(
    () => links.addAddress(77, { address: "10.0.0.1", prefixLength: 32 }),
    /add address 10\.0\.0\.1\/32: ENODEV/,
  );
  using nft = new NftNetlink(namespace.fd);
  const transaction = new NftTransaction();
  transaction
    .table("inet", "t")
    .create()
    .addChain("c")
    .addRule("c", action.jump("missing"))
    .addRule("c", action.accept());
  assert.throws(() => nft.commit(transaction), /add rule c \(inet t\): ENOENT/);
  assert.deepEqual(nft.tables("inet"), [], "nothing of a refused transaction stays");
});

test("links, addresses and tables can be listed", () => {
  const { left, right } = pair();
  using links = new RouteNetlink(left.fd);
  assert.deepEqual(
    links.links().map((link) => [link.index, link.name, link.up]),
    [
      [1, "lo", true],
      [2, "eth0", true],
    ],
  );
  assert.ok(
    links
      .addresses()
      .some((entry) => entry.address === "10.1.0.1" && entry.prefixLength === 24 && entry.linkIndex === 2),
  );
  left.close();
  right.close();
});

test("replacing a table swaps all its rules at once", async () => {
  const { left, right } = pair();
  using nft = new NftNetlink(right.fd);
  const servers = await Promise.all(
    [8001, 8002].map((port) =>
      serve(listenTcpInNamespace(right.fd, { address: "10.1.0.2", port }), (socket) => {
        const original = originalDestination({
          fd: (socket as unknown as { _handle: { fd: number } })._handle.fd,
          remote: { address: "10.1.0.1", port: 0 },
        });
        return `${port} wanted ${original?.address}:${original?.port}`;
      }),
    ),
  );
  for (const target of [8001, 8002]) {
    const transaction = new NftTransaction();
    transaction
      .table("inet", "redirects")
      .replace()
      .addChain("prerouting", { type: "nat", hook: "prerouting", priority: -100 })
      .addRule(
        "prerouting",
        match.source("10.1.0.0/24"),
        match.protocol("tcp"),
        match.destinationPort(80),
        action.counter(),
        action.redirect(target),
      );
    nft.commit(transaction);
    assert.equal(await readFrom(left, "10.1.0.2", 80), `${target} wanted 10.1.0.2:80`);
  }
  for (const server of servers) server.close();
  left.close();
  right.close();
});

test("a Service's verdict map leads to a chain that picks one of its endpoints at random", async () => {
  const { left, right } = pair();
  const ports = [8001, 8002, 8003];
  const servers = await Promise.all(
    ports.map((port) => serve(listenTcpInNamespace(right.fd, { address: "10.1.0.2", port }), () => String(port))),
  );
  const key = ["ipv4", "protocol", "port"] as const;
  using nft = new NftNetlink(left.fd);
  const transaction = new NftTransaction();
  const table = transaction.table("ip", "services").replace().addVerdictMap("ports", key);
  table
    .addChain("output", { type: "nat", hook: "output", priority: -100 })
    .addRule("output", action.serviceVerdict("ports", "ipv4"));
  table
    .addChain("reviews")
    .addRule("reviews", match.protocol("tcp"), table.dnatToOneOf(ports.map((port) => ({ address: "10.1.0.2", port }))));
  table.addChain("empty").addRule("empty", match.protocol("tcp"), action.drop());
  table.addVerdicts("ports", key, [{ key: ["10.1.0.99", "tcp", 80], verdict: { kind: "goto", chain: "reviews" } }]);
  nft.commit(transaction);
  const serverNames = new Set<string>();
  for (let round = 0; round < 40; round += 1) serverNames.add(await readFrom(left, "10.1.0.99", 80));
  assert.deepEqual([...serverNames].sort(), ["8001", "8002", "8003"]);

  const change = new NftTransaction();
  const again = change.table("ip", "services").flushChain("reviews");
  again.addRule("reviews", match.protocol("tcp"), again.dnatToOneOf([{ address: "10.1.0.2", port: 8002 }]));
  nft.commit(change);
  for (let round = 0; round < 5; round += 1) assert.equal(await readFrom(left, "10.1.0.99", 80), "8002");
  for (const server of servers) server.close();
  left.close();
  right.close();
});

test("a socket dials from a foreign address with a mark", async () => {
  const { left, right } = pair();
  using links = new RouteNetlink(left.fd);
  links.addRule({ family: "ipv4", priority: 100, table: 100, mark: 0x539, markMask: 0xfff });
  links.addRoute({ destination: { address: "0.0.0.0", prefixLength: 0 }, type: "local", linkIndex: 1, table: 100 });
  using rightLinks = new RouteNetlink(right.fd);
  rightLinks.addRoute({ destination: { address: "10.9.9.9", prefixLength: 32 }, gateway: "10.1.0.1" });
  using nft = new NftNetlink(left.fd);
  const transaction = new NftTransaction();
  // Packets to the foreign address arrive in this namespace and must be delivered locally, as in a captured pod.
  transaction
    .table("inet", "mangle")
    .create()
    .addChain("pre", { type: "filter", hook: "prerouting", priority: -150 })
    .addRule("pre", match.destination("10.9.9.9"), action.setMark(0x539));
  nft.commit(transaction);
  const server = await serve(
    listenTcpInNamespace(right.fd, { address: "10.1.0.2", port: 80 }),
    (socket) => `from ${socket.remoteAddress} ${socket.remotePort}`,
  );
  const fd = openTcpSocketInNamespace(left.fd, { family: "ipv4", sourceAddress: "10.9.9.9" });
  const text = await new Promise<string>((resolve, reject) => {
    const socket = new Socket({ fd, readable: true, writable: true });
    socket.on("error", reject);
    socket.on("data", (data) => resolve(data.toString()));
    socket.connect({ host: "10.1.0.2", port: 80 });
  });
  const [, address, port] = text.split(" ");
  assert.equal(address, "10.9.9.9");
  assert.ok(Number(port) < 32_768, `${port}: outside the range from which 10.9.9.9 itself dials`);
  server.close();
  left.close();
  right.close();
});

for (const kind of ["libuv", "node"] as const) {
  test(`a transparent listener accepts connections to an address that is not this host's (${kind})`, async () => {
    const path = bytePath(kind);
    assert.ok(path !== undefined);
    const route = { address: "10.9.9.9", prefixLength: 32 };
    using links = new RouteNetlink();
    links.setLoopbackUp();
    links.addRule({ family: "ipv4", priority: 100, table: 100, mark: 0x539, markMask: 0xfff });
    links.addRoute({ destination: route, type: "local", linkIndex: 1, table: 100 });
    try {
      const address = { address: "10.9.9.9", port: 8080 };
      await assert.rejects(
        path.listenTcp(address, () => undefined),
        /EADDRNOTAVAIL/,
      );
      const received = Promise.withResolvers<string>();
      const listener = await path.listenTcp({ ...address, transparent: true, held: true }, (stream) => {
        received.resolve(`${stream.local.address}:${stream.local.port}`);
        stream.destroy();
      });
      await listener.begin?.();
      const dial = { mark: 0x539, sourceAddress: "127.0.0.1", timeoutMs: 5000 };
      const client = await path.connectTcp({ ...address, ...dial });
      assert.equal(await received.promise, "10.9.9.9:8080");
      client.destroy();
      listener.close();
    } finally {
      links.deleteRoute({ destination: route, type: "local", linkIndex: 1, table: 100 });
      links.deleteRule({ family: "ipv4", priority: 100, table: 100, mark: 0x539, markMask: 0xfff });
    }
  });
}

test("a port that was used with another host's address is reused as late as possible", () => {
  using namespace = NetworkNamespace.create();
  const ports = new Set<number>();
  const dials = 2000;
  for (let dial = 0; dial < dials; dial += 1) {
    const fd = openTcpSocketInNamespace(namespace.fd, { family: "ipv4", sourceAddress: "10.9.9.9" });
    ports.add(socketName(fd).port);
    closeDescriptor(fd);
  }
  assert.equal(ports.size, dials);
});

test("the kernel accepts every expression of the builder", () => {
  using namespace = NetworkNamespace.create();
  using nft = new NftNetlink(namespace.fd);
  const key6 = ["ipv6", "protocol", "port"] as const;
  const transaction = new NftTransaction();
  const table = transaction
    .table("inet", "all")
    .replace()
    .addSet("known", ["ipv4"])
    .addSet("clients", ["ipv4"], { timeoutMs: 10_800_000 });
  table.addSet("known6", ["ipv6"]).addVerdictMap("ports6", key6).addVerdictMap("node-ports", ["protocol", "port"]);
  table.addElements("known", ["ipv4"], [["10.0.0.1"], ["10.0.0.2"]]).addElements("known6", ["ipv6"], [["fd00::1"]]);
  table
    .addChain("pre", { type: "nat", hook: "prerouting", priority: -100 })
    .addChain("post", { type: "nat", hook: "postrouting", priority: 100 });
  table.addChain("filter", { type: "filter", hook: "forward", priority: 0, policy: "drop" }).addChain("svc");
  table.addVerdicts("ports6", key6, [{ key: ["fd96::1", "tcp", 80], verdict: { kind: "jump", chain: "svc" } }]);
  table.addVerdicts(
    "node-ports",
    ["protocol", "port"],
    [{ key: ["udp", 30053], verdict: { kind: "jump", chain: "svc" } }],
  );
  table
    .addRule("pre", action.serviceVerdict("ports6", "ipv6"))
    .addRule("pre", match.destinationIsLocal(), action.nodePortVerdict("node-ports"));
  table.addRule(
    "svc",
    match.sourceInSet("clients", "ipv4"),
    match.protocol("tcp"),
    action.rememberSource("clients", "ipv4", 10_800_000),
    action.dnat("10.0.0.1", 80),
  );
  table.addRule(
    "svc",
    match.family("ipv6"),
    match.protocol("tcp"),
    table.dnatToOneOf([
      { address: "fd00::1", port: 1 },
      { address: "fd00::2", port: 2 },
    ]),
  );
  table.addRule("post", match.source("10.0.0.0/8"), match.destination("fd00::/8", { not: true }), action.masquerade());
  table.addRule(
    "post",
    match.destinationInSet("known6", "ipv6"),
    match.connectionStatus("dnat"),
    action.snat("fd00::7"),
  );
  table.addRule(
    "post",
    match.destinationInSet("known", "ipv4"),
    match.fromLocalSocket(),
    match.socketUid(0),
    action.snat("169.254.7.127"),
  );
  table.addRule("filter", match.connectionState("established", "related"), action.accept());
  table
    .addChain("mangle", { type: "filter", hook: "prerouting", priority: -150 })
    .addRule("mangle", match.protocol("tcp"), match.fromOpener(), action.transparentProxy(15_006), action.drop());
  table.addRule(
    "filter",
    match.inputInterface("eth0"),
    match.outputInterface("lo", { not: true }),
    match.randomly(0.1),
    action.drop(),
  );
  table.addRule(
    "filter",
    match.mark(0x539, 0xfff),
    match.connectionMark(0x111, 0xfff, { not: true }),
    action.setMark(1, 0xff),
    action.setConnectionMark(0x111, 0xfff),
    action.restoreMark(),
    action.return(),
  );
  table
    .addRule(
      "filter",
      match.protocol("tcp"),
      match.sourcePort(1, { not: true }),
      action.counter(),
      action.rejectWithReset(),
    )
    .addRule("filter", action.rejectUnreachable());
  nft.commit(transaction);
  assert.deepEqual(nft.chains("inet", "all").sort(), ["filter", "mangle", "post", "pre", "svc"]);
  const removal = new NftTransaction();
  removal
    .table("inet", "all")
    .deleteElements("known", ["ipv4"], [["10.0.0.1"]])
    .delete();
  nft.commit(removal);
  assert.deepEqual(nft.tables("inet"), []);
});
