import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, Socket, type Server } from "node:net";
import {
  bindUdpInNamespace,
  listenTcpInNamespace,
  NetworkNamespace,
  openTcpSocketInNamespace,
  RouteNetlink,
} from "../../net/index.ts";
import { createSocket, type Socket as DatagramSocket } from "node:dgram";

const linkLocal = "169.254.1.1";

/** A pod's network namespace with a process in it. It is connected to its node as in the lab. */
export interface TestPodHost {
  readonly address: string;
  readonly namespace: NetworkNamespace;
  readonly initPid: number;
}

export class TestNode {
  readonly namespace = NetworkNamespace.create();
  readonly #children: ChildProcess[] = [];
  readonly #servers: Server[] = [];
  readonly #datagramServers: DatagramSocket[] = [];
  readonly #accepted = new Set<Socket>();
  #pods = 0;

  constructor() {
    this.namespace.enter(() => {
      writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
    });
    using links = new RouteNetlink(this.namespace.fd);
    links.setLoopbackUp();
    links.addAddress(1, { address: "172.18.0.3", prefixLength: 32 });
  }

  /**
   * Adds a pod. A pod without its loopback interface is in the state in which a container runtime may leave it for a
   * moment.
   */
  addPod({ withLoopback = true } = {}): TestPodHost {
    this.#pods += 1;
    const number = this.#pods;
    const address = `10.244.1.${number + 1}`;
    const namespace = NetworkNamespace.create();
    const [hostMac, podMac] = [Buffer.from([2, 0, 0, 0, 1, number]), Buffer.from([2, 0, 0, 0, 2, number])];
    const index = 10 + number;
    using node = new RouteNetlink(this.namespace.fd);
    node.batch(() => {
      node.addVeth({
        name: `veth${number}`,
        index,
        macAddress: hostMac,
        peer: { name: "eth0", index: 2, macAddress: podMac, namespaceFd: namespace.fd },
      });
      node.addRoute({ destination: { address, prefixLength: 32 }, linkIndex: index, sourceAddress: "172.18.0.3" });
      node.addNeighbour(index, address, podMac);
    });
    using pod = new RouteNetlink(namespace.fd);
    if (withLoopback) pod.setLoopbackUp();
    pod.setLink(2, { up: true });
    pod.addAddress(2, { address, prefixLength: 32 });
    pod.addNeighbour(2, linkLocal, hostMac);
    pod.addRoute({ destination: { address: linkLocal, prefixLength: 32 }, linkIndex: 2 });
    pod.addRoute({ destination: { address: "0.0.0.0", prefixLength: 0 }, gateway: linkLocal, linkIndex: 2 });
    const init = namespace.enter(() => spawn("sleep", ["1000"], { stdio: "ignore" }));
    this.#children.push(init);
    return { address, namespace, initPid: init.pid ?? -1 };
  }

  /** Starts a UDP server on one of the node's addresses. It answers each datagram with `<name> answers <text>`. */
  async serveUdp(address: string, port: number, name: string): Promise<void> {
    using links = new RouteNetlink(this.namespace.fd);
    links.addAddress(1, { address, prefixLength: 32 });
    const socket = createSocket("udp4");
    socket.on("message", (message, peer) =>
      socket.send(`${name} answers ${message.toString()}`, peer.port, peer.address),
    );
    this.#datagramServers.push(socket);
    // A socket that gets a descriptor emits `listening` during the call of `bind`, so listen for the event before the
    // call.
    const listening = once(socket, "listening");
    socket.bind({ fd: bindUdpInNamespace(this.namespace.fd, { address, port }) });
    await listening;
  }

  /** Starts a server in a pod. It answers each line with `<name> saw <the client's address>: <line>`. */
  async serve(pod: TestPodHost, port: number, name: string): Promise<void> {
    await this.#listen(pod, { port }, (socket) => {
      socket.on("data", (data) => socket.write(`${name} saw ${socket.remoteAddress}: ${data.toString()}`));
    });
  }

  /**
   * Acts as a pod's proxy in mode TPROXY: for each connection, it connects to the original destination from the
   * client's address.
   */
  async proxyTransparently(pod: TestPodHost, port: number, mark: number): Promise<void> {
    await this.#listen(pod, { port, transparent: true }, (socket) => {
      const fd = openTcpSocketInNamespace(pod.namespace.fd, {
        family: "ipv4",
        mark,
        sourceAddress: socket.remoteAddress ?? "",
      });
      const upstream = new Socket({ fd, readable: true, writable: true, manualStart: true } as ConstructorParameters<
        typeof Socket
      >[0]);
      upstream.on("error", () => socket.destroy());
      upstream.on("data", (data) => socket.write(`proxy says ${data.toString()}`));
      upstream.on("close", () => socket.destroy());
      socket.on("close", () => upstream.destroy());
      upstream.connect({ host: socket.localAddress ?? "", port: socket.localPort ?? 0 }, () => socket.pipe(upstream));
    });
  }

  async #listen(
    pod: TestPodHost,
    options: { readonly port: number; readonly transparent?: boolean },
    accept: (socket: Socket) => void,
  ): Promise<void> {
    const fd = listenTcpInNamespace(pod.namespace.fd, { address: "0.0.0.0", ...options });
    const server = createServer((socket) => {
      this.#accepted.add(socket);
      socket.on("close", () => this.#accepted.delete(socket));
      socket.on("error", () => undefined);
      accept(socket);
    });
    server.listen({ fd });
    this.#servers.push(server);
    await once(server, "listening");
  }

  /**
   * Ends the pods and their connections. When links are removed, the last packets between two pods may be lost. So this
   * also closes connections whose peer has closed without notice.
   */
  close(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const server of [...this.#servers, ...this.#datagramServers]) server.close();
    for (const socket of this.#accepted) socket.destroy();
    this.namespace.close();
  }
}

/** A client that sends lines and returns the answers. */
export class TestClient {
  readonly #socket: Socket;
  #text = "";

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (data) => (this.#text += data.toString()));
  }

  static connect(namespaceFd: number, address: string, port: number, mark?: number): Promise<TestClient> {
    const fd = openTcpSocketInNamespace(namespaceFd, { family: "ipv4", ...(mark === undefined ? {} : { mark }) });
    const options = { fd, readable: true, writable: true, manualStart: true } as ConstructorParameters<
      typeof Socket
    >[0];
    const socket = new Socket(options);
    return new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.once("close", () => reject(new Error(`the connection to ${address}:${port} was closed`)));
      socket.connect({ host: address, port }, () => resolve(new TestClient(socket)));
    });
  }

  /** Sends a line. Resolves with everything that was received since the last call, once that contains a whole line. */
  ask(line: string): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const take = (): void => {
      if (!this.#text.endsWith("\n")) return;
      const text = this.#text;
      this.#text = "";
      this.#socket.off("data", take);
      resolve(text.trim());
    };
    this.#socket.on("data", take);
    this.#socket.once("error", reject);
    this.#socket.once("close", () => reject(new Error("the connection was closed")));
    this.#socket.write(`${line}\n`);
    return promise;
  }

  close(): void {
    this.#socket.destroy();
  }
}

export async function askOnce(
  namespaceFd: number,
  address: string,
  port: number,
  line = "x",
  mark?: number,
): Promise<string> {
  const client = await TestClient.connect(namespaceFd, address, port, mark);
  try {
    return await client.ask(line);
  } finally {
    client.close();
  }
}

export function askUdp(
  namespaceFd: number,
  from: { readonly address: string; readonly port?: number },
  to: string,
  port: number,
  text: string,
): Promise<string> {
  const socket = createSocket("udp4");
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("message", (message) => {
      socket.close();
      resolve(message.toString());
    });
    socket.once("listening", () => socket.send(text, port, to));
    socket.bind({ fd: bindUdpInNamespace(namespaceFd, { port: 0, ...from }) });
  });
}
