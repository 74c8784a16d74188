import {
  libc,
  watchReadable,
  action,
  match,
  NetworkNamespace,
  NftNetlink,
  NftTransaction,
  RouteNetlink,
} from "../../net/index.ts";

/** The network namespaces of two pods, connected by a veth pair, with ambient's capture in both. */
export interface PodPair {
  readonly client: NetworkNamespace;
  readonly server: NetworkNamespace;
  close(): void;
}

export const clientAddress = "10.1.0.1";
export const serverAddress = "10.1.0.2";
/** An address that no pod has. Connections to it succeed only if capture redirects them. */
export const serviceAddress = "10.96.0.50";

/** The mesh of both pods, for `LOCAL_XDS_PATH`: port 80 of a Service leads to port 8080 of the server. */
export const pairMesh = `
workloads:
- {uid: "c//Pod/default/client", name: client, namespace: default, serviceAccount: client, workloadIps: ["${clientAddress}"], protocol: HBONE}
- {uid: "c//Pod/default/server", name: server, namespace: default, serviceAccount: server, workloadIps: ["${serverAddress}"], protocol: HBONE, services: {default/echo.default.svc.cluster.local: {80: 8080}}}
services:
- {name: echo, namespace: default, hostname: echo.default.svc.cluster.local, vips: ["/${serviceAddress}"], ports: {80: 8080}}
`;

/** The source address of the node's own probes. */
export const probeAddress = "169.254.7.127";

/** With `outsider`, the client is outside the mesh and also has the address of the node's probes. */
export function podPair({ outsider = false } = {}): PodPair {
  const client = NetworkNamespace.create();
  const server = NetworkNamespace.create();
  const clientLinks = new RouteNetlink(client.fd);
  const serverLinks = new RouteNetlink(server.fd);
  clientLinks.batch(() => {
    clientLinks.setLoopbackUp();
    clientLinks.addVeth({ name: "eth0", index: 2, peer: { name: "eth0", index: 2, namespaceFd: server.fd } });
    clientLinks.addAddress(2, { address: clientAddress, prefixLength: 24 });
    if (outsider) clientLinks.addAddress(2, { address: probeAddress, prefixLength: 32 });
  });
  serverLinks.setLoopbackUp();
  serverLinks.setLink(2, { up: true });
  serverLinks.addAddress(2, { address: serverAddress, prefixLength: 24 });
  if (outsider)
    serverLinks.addRoute({ destination: { address: probeAddress, prefixLength: 32 }, gateway: clientAddress });
  clientLinks.addRoute({ destination: { address: "0.0.0.0", prefixLength: 0 }, gateway: serverAddress });
  for (const [namespace, links] of [
    [client, clientLinks],
    [server, serverLinks],
  ] as const) {
    links.addRoute({ destination: { address: "0.0.0.0", prefixLength: 0 }, type: "local", linkIndex: 1, table: 100 });
    links.addRule({ family: "ipv4", priority: 32_764, table: 100, mark: 0x111, markMask: 0xfff });
    if (namespace === server || !outsider) capture(namespace);
    links.close();
  }
  return {
    client,
    server,
    close: () => {
      client.close();
      server.close();
    },
  };
}

/** Installs the rules of upstream's agent, for IPv4 and TCP only. */
function capture(namespace: NetworkNamespace): void {
  using nft = new NftNetlink(namespace.fd);
  const transaction = new NftTransaction();
  const table = transaction.table("ip", "ambient").replace();
  const tcp = match.protocol("tcp");
  table.addChain("mangle-pre", { type: "filter", hook: "prerouting", priority: -150 });
  table.addRule("mangle-pre", match.mark(0x539, 0xfff), action.setConnectionMark(0x111, 0xfff));
  table.addChain("mangle-out", { type: "route", hook: "output", priority: -150 });
  table.addRule("mangle-out", match.connectionMark(0x111, 0xfff), action.restoreMark());
  table.addChain("pre", { type: "nat", hook: "prerouting", priority: -100 });
  table.addRule("pre", match.source(probeAddress), tcp, action.accept());
  table.addRule(
    "pre",
    match.destination("127.0.0.1/32", { not: true }),
    tcp,
    match.destinationPort(15_008, { not: true }),
    match.mark(0x539, 0xfff, { not: true }),
    action.redirect(15_006),
  );
  table.addChain("out", { type: "nat", hook: "output", priority: -100 });
  table.addRule("out", match.mark(0x111, 0xfff), action.accept());
  table.addRule(
    "out",
    match.destination("127.0.0.1/32", { not: true }),
    tcp,
    match.mark(0x539, 0xfff, { not: true }),
    action.redirect(15_001),
  );
  nft.commit(transaction);
}

/** Records all bytes on a namespace's links in both directions, until it is stopped. */
export function sniff(namespace: NetworkNamespace): { readonly bytes: () => Buffer; stop(): void } {
  const everyProtocol = 0x0300;
  const [familyPacket, raw, nonBlocking] = [17, 3, 0o4000];
  const fd = namespace.enter(() => libc().socket(familyPacket, raw | nonBlocking, everyProtocol));
  if (fd < 0) throw new Error("no packet socket");
  const frames: Buffer[] = [];
  const watch = watchReadable(fd, () => {
    const frame = Buffer.alloc(70_000);
    for (
      let length = libc().recv(fd, frame, frame.length, 0);
      length > 0;
      length = libc().recv(fd, frame, frame.length, 0)
    ) {
      // Skip the loopback link, which carries the plain bytes between a ztunnel and its own application.
      if (frame.readUIntBE(0, 6) !== 0) frames.push(Buffer.from(frame.subarray(0, length)));
    }
  });
  return {
    bytes: () => Buffer.concat(frames),
    stop: () => {
      watch[Symbol.dispose]();
      libc().close(fd);
    },
  };
}
