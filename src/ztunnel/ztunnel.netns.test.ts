import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { silentLogger } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { CertificateManager, FakeCertificateAuthority, HbonePool, type HboneTunnel } from "../dataplane/index.ts";
import {
  bindUdpInNamespace,
  connectTcp,
  listenTcp,
  listenTcpInNamespace,
  NetworkNamespace,
  RouteNetlink,
  secureClient,
  type ByteStream,
} from "../net/index.ts";
import type { ZdsListenerRole, ZdsRequest, ZdsResponse } from "../wire/zds/index.ts";
import { PlayedAgent } from "./testing/played-agent.ts";
import { pairMesh, podPair, serverAddress, serviceAddress } from "./testing/pod-pair.ts";
import { echo, requireOwnNetwork } from "../net/testing/index.ts";

requireOwnNetwork();

const root = join(import.meta.dirname, "../..");
const directory = mkdtempSync(join(tmpdir(), "serin-ztunnel-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** A ztunnel process in a network namespace of its own, and a CNI agent's end of its ZDS connection. */
class ZtunnelProcess {
  readonly #child: ChildProcess;
  readonly namespace: NetworkNamespace;
  readonly output: string[] = [];
  readonly exited: Promise<number | null>;
  readonly #revision: string;
  readonly #agent: PlayedAgent;

  constructor(name: string, workers = 1, environment: Readonly<Record<string, string>> = {}) {
    const path = join(directory, `${name}.sock`);
    const config = join(directory, "mesh.yaml");
    const caRoot = join(directory, "ca-root.json");
    this.namespace = NetworkNamespace.create();
    using links = new RouteNetlink(this.namespace.fd);
    links.setLoopbackUp();
    this.#revision = name;
    this.#agent = PlayedAgent.listen(path);
    this.#child = this.namespace.enter(() =>
      spawn(join(root, "bin/serin"), ["ztunnel"], {
        env: {
          PATH: process.env["PATH"],
          SERIN_BUNDLE: process.env["SERIN_BUNDLE"],
          NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
          REVISION: name,
          LOCAL_XDS_PATH: config,
          FAKE_CA: "true",
          FAKE_CA_ROOT: caRoot,
          INPOD_UDS: path,
          NODE_NAME: "node",
          ZTUNNEL_WORKER_THREADS: String(workers),
          ...environment,
        },
        stdio: ["ignore", "pipe", "pipe"],
      }),
    );
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (data: Buffer) => this.output.push(data.toString()));
    this.exited = new Promise((resolve) => this.#child.on("exit", (code) => resolve(code)));
  }

  get text(): string {
    return this.output.join("");
  }

  async send(message: ZdsRequest, descriptors: readonly number[] = []): Promise<ZdsResponse> {
    assert.deepEqual(await this.#agent.hello(), { version: 1, revision: this.#revision, acceptsListeners: true });
    return await this.#agent.send(message, descriptors);
  }

  async add(
    uid: string,
    namespace: NetworkNamespace,
    sockets: readonly { readonly role: ZdsListenerRole; readonly fd: number }[] = [],
  ): Promise<void> {
    const workload = { name: uid, namespace: "default", serviceAccount: uid };
    const answer = await this.send(
      { type: "add", uid, workload, listeners: sockets.map(({ role }) => role), handedOver: false },
      [namespace.fd, ...sockets.map(({ fd }) => fd)],
    );
    assert.equal(answer.error, "");
  }

  terminate(): void {
    this.#child.kill("SIGTERM");
  }

  async until(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) {
      const ended = await Promise.race([this.exited.then(() => true), setTimeout(10, false)]);
      assert.ok(!ended || pattern.test(this.text), `ended without ${pattern}: ${this.text}`);
    }
  }
}

/** Opens the sockets that the agent opens in a pod. */
function podSockets(namespace: NetworkNamespace): { readonly role: ZdsListenerRole; readonly fd: number }[] {
  const tcp = (address: string, port: number) => listenTcpInNamespace(namespace.fd, { address, port });
  return [
    { role: "outbound", fd: tcp("127.0.0.1", 15_001) },
    { role: "inbound-plaintext", fd: tcp("0.0.0.0", 15_006) },
    { role: "inbound-hbone", fd: tcp("0.0.0.0", 15_008) },
    { role: "dns-udp", fd: bindUdpInNamespace(namespace.fd, { address: "127.0.0.1", port: 15_053 }) },
  ];
}

async function echoServer(namespace: NetworkNamespace) {
  return await listenTcp({ fd: listenTcpInNamespace(namespace.fd, { address: "0.0.0.0", port: 8080 }) }, (stream) => {
    echo(stream);
  });
}

/** A connection of the client's application. `send` waits for the echo, and fails if the connection fails. */
async function talk(namespace: NetworkNamespace) {
  const stream = await connectTcp({ address: serviceAddress, port: 80, namespaceFd: namespace.fd, timeoutMs: 5_000 });
  let text = "";
  let wake: () => void = () => undefined;
  const state = { closed: false };
  stream.setHandler({
    data: (chunk) => {
      text += chunk.toString();
      wake();
    },
    end: () => stream.end(),
    drain() {},
    close: () => {
      state.closed = true;
      wake();
    },
  });
  stream.resume();
  const send = async (words: string) => {
    stream.write(Buffer.from(words));
    while (!text.includes(words)) {
      assert.ok(!state.closed, `closed before it echoed ${words}`);
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  return { send, end: () => stream.end(), state };
}

/**
 * The pause of each client in milliseconds. With a shorter pause, the clients use all processors of the machine, and
 * the hand-over is slow.
 */
const pauseMs = 4;

writeFileSync(join(directory, "mesh.yaml"), pairMesh);
const caRoot = new FakeCertificateAuthority().exportRoot();
writeFileSync(join(directory, "ca-root.json"), JSON.stringify(caRoot));

for (const [before, after] of [
  [1, 1],
  [2, 2],
  [1, 2],
  [2, 1],
] as const)
  test(`a pod changes its ztunnel, ${before} worker(s) to ${after}: no connection is refused, the old one keeps its open ones, and its owner ends with it`, async () => {
    const pods = podPair();
    const app = await echoServer(pods.server);
    const [old, peer, fresh] = [
      new ZtunnelProcess("old", before),
      new ZtunnelProcess("peer", before),
      new ZtunnelProcess("fresh", after),
    ];
    const sockets = { client: podSockets(pods.client), server: podSockets(pods.server) };
    await old.add("client", pods.client, sockets.client);
    await peer.add("server", pods.server, sockets.server);
    for (const one of [old, peer, fresh]) assert.equal((await one.send({ type: "snapshot-sent" })).error, "");
    const long = await talk(pods.client);
    await long.send("before ");

    // Clients that connect all the time. Each connection must be answered.
    const load = { stop: false };
    const answered = Promise.all(
      Array.from({ length: 8 }, async (_, loop) => {
        let count = 0;
        while (!load.stop) {
          const one = await talk(pods.client);
          await one.send(`load ${loop} ${count} `);
          one.end();
          count += 1;
          await setTimeout(pauseMs);
        }
        return count;
      }),
    );
    await fresh.add("client", pods.client, sockets.client);
    assert.equal((await old.send({ type: "delete", uid: "client", handedOver: true })).error, "");
    await fresh.add("server", pods.server, sockets.server);
    assert.equal((await peer.send({ type: "delete", uid: "server", handedOver: true })).error, "");
    await long.send("after ");
    // Hand the pod back and over again while the first ztunnel still has the long connection. This must not affect that
    // connection.
    await old.add("client", pods.client, sockets.client);
    assert.equal((await fresh.send({ type: "delete", uid: "client", handedOver: true })).error, "");
    await long.send("back ");
    await fresh.add("client", pods.client, sockets.client);
    assert.equal((await old.send({ type: "delete", uid: "client", handedOver: true })).error, "");
    await long.send("again ");
    for (let round = 0; round < 5; round += 1) {
      const one = await talk(pods.client);
      await one.send(`new ${round} `);
      one.end();
    }
    load.stop = true;
    assert.ok((await answered).every((count) => count > 0));
    await fresh.until(/direction="outbound"/);

    old.terminate();
    peer.terminate();
    await old.until(/draining, 1 connection\n/);
    await long.send("while draining ");
    long.end();
    assert.deepEqual([await old.exited, await peer.exited], [0, 0]);
    assert.match(old.text, /draining, 0 connections/);
    assert.match(
      old.text,
      /connection complete.*direction="outbound" bytes_sent=\d+ bytes_recv=\d+ duration="\d+ms"\n/,
    );

    // A second signal does not wait for open connections.
    const last = await talk(pods.client);
    await last.send("last ");
    fresh.terminate();
    await fresh.until(/draining, 2 connections\n/);
    fresh.terminate();
    assert.equal(await fresh.exited, 0);
    assert.match(fresh.text, /closing 2 connection\(s\) that are still open/);
    assert.match(fresh.text, /error="receive: connection closed due to connection drain"/);
    app.close();
    pods.close();
  });

/** Whether the ztunnel has accepted a connection to the pod's HBONE port. Only an accepted socket has an inode. */
function hasAccepted(namespace: NetworkNamespace): boolean {
  const [hbonePort, established] = ["3AA0", "01"];
  const lines = namespace.enter(() => readFileSync("/proc/thread-self/net/tcp", "utf8")).split("\n");
  return lines.some((line) => {
    const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
    return local.endsWith(`:${hbonePort}`) && state === established && inode !== "0";
  });
}

/** Opens a tunnel to the server's application on a connection that is already open. */
async function tunnelOn(stream: ByteStream): Promise<HboneTunnel> {
  const sourceIdentity = "spiffe://cluster.local/ns/default/sa/client";
  const certificates = new CertificateManager({
    authority: new FakeCertificateAuthority({ root: caRoot }),
    log: silentLogger,
  });
  const pool = new HbonePool({
    dial: async () => {
      const { context } = await certificates.fetch(sourceIdentity);
      const verify = { by: "identities", identities: [] } as const;
      return await secureClient(stream, context, { alpn: ["h2"], timeoutMs: 5_000, verify });
    },
  });
  try {
    return await pool.connect({
      sourceIdentity,
      address: serverAddress,
      port: 15_008,
      expectedIdentities: [],
      authority: `${serverAddress}:8080`,
      headers: [],
      timeoutMs: 5_000,
    });
  } finally {
    pool.close();
    certificates.close();
  }
}

for (const workers of [1, 2])
  test(`a ztunnel with ${workers} worker(s) that ends still serves a peer that it accepted before, whose handshake begins now`, async () => {
    const pods = podPair();
    const app = await echoServer(pods.server);
    const ztunnel = new ZtunnelProcess("ending", workers);
    await ztunnel.add("server", pods.server);
    const stream = await connectTcp({
      address: serverAddress,
      port: 15_008,
      namespaceFd: pods.client.fd,
      mark: 0x539,
      timeoutMs: 5_000,
    });
    await until(() => hasAccepted(pods.server));
    ztunnel.terminate();
    await ztunnel.until(/draining, 0 connections\n/);
    const tunnel = await tunnelOn(stream);
    const echoed = new Promise<string>((resolve, reject) => {
      tunnel.setHandler({
        data: (chunk) => resolve(chunk.toString()),
        end() {},
        drain() {},
        close: (error) => reject(error ?? new Error("closed")),
      });
    });
    tunnel.resume();
    tunnel.write(Buffer.from("late"));
    assert.equal(await echoed, "late");
    tunnel.end();
    assert.equal(await ztunnel.exited, 0);
    app.close();
    pods.close();
  });

for (const workers of [1, 2])
  test(`a ztunnel with ${workers} worker(s) takes HBONE for its own pod, and a connection to it does not keep it alive`, async () => {
    const ztunnel = new ZtunnelProcess("own", workers, {
      POD_NAMESPACE: "istio-system",
      POD_NAME: "ztunnel-x",
      SERVICE_ACCOUNT: "ztunnel",
      CONNECTION_TERMINATION_DEADLINE: "1s",
    });
    // No CNI agent knows this pod, so the end of its snapshot must not remove it.
    assert.equal((await ztunnel.send({ type: "snapshot-sent" })).error, "");
    const namespaceFd = ztunnel.namespace.fd;
    const stream = await connectTcp({ address: "127.0.0.1", port: 15_008, namespaceFd, timeoutMs: 20_000 });
    ztunnel.terminate();
    assert.equal(await ztunnel.exited, 0);
    stream.destroy();
    ztunnel.namespace.close();
  });
