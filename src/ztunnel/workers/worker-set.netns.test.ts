import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { createLogger, systemClock, systemRandom } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { CertificateManager, FakeCertificateAuthority } from "../../dataplane/index.ts";
import { connectTcp, listenTcp, listenTcpInNamespace, NetworkNamespace, type ByteStream } from "../../net/index.ts";
import { echo, requireOwnNetwork } from "../../net/testing/index.ts";
import { MetricsRegistry, parsePrometheus } from "../../telemetry/index.ts";
import { IdentityUsers } from "../proxy/identity-users.ts";
import { readConfig } from "../config.ts";
import type { AddedPod } from "../proxy/served-pods.ts";
import { parseLocalConfig } from "../state/local-config.ts";
import { noChange } from "../state/mesh-change.ts";
import { MeshState } from "../state/mesh-state.ts";
import { clientAddress, podPair, serverAddress, type PodPair } from "../testing/pod-pair.ts";
import { spawnWorker, WorkerSet } from "./index.ts";

requireOwnNetwork();

const mesh = `
workloads:
- {uid: "c//Pod/default/client", name: client, namespace: default, serviceAccount: client, workloadIps: ["${clientAddress}"], protocol: HBONE}
- {uid: "c//Pod/default/server", name: server, namespace: default, serviceAccount: server, workloadIps: ["${serverAddress}"], protocol: HBONE}
`;

/** A node on which one ztunnel with two workers serves both pods of a pair. */
class Node implements AsyncDisposable {
  readonly set: WorkerSet;
  readonly threads: Worker[] = [];
  readonly lines: string[] = [];
  readonly #pods: PodPair;
  readonly #app: { close(): void };
  readonly #certificates: CertificateManager;

  private constructor(pods: PodPair, app: { close(): void }, env: Readonly<Record<string, string>>) {
    this.#pods = pods;
    this.#app = app;
    const log = createLogger({ scope: "ztunnel", level: "info", write: (line) => void this.lines.push(line) });
    this.#certificates = new CertificateManager({
      authority: new FakeCertificateAuthority(),
      log,
      onCertificate: (certificate) => this.set.certify(certificate),
      onForgotten: (identity) => this.set.forget(identity),
    });
    this.set = new WorkerSet({
      count: 2,
      spawn: (start) => {
        const thread = spawnWorker(start);
        this.threads.push(thread);
        return thread;
      },
      data: {
        config: readConfig({ FAKE_CA: "true", ...env }, "test", []),
        certificates: this.#certificates,
        identities: new IdentityUsers(this.#certificates),
        registry: new MetricsRegistry(),
        nameservers: [],
        log,
        clock: systemClock,
        random: systemRandom,
      },
    });
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<Node> {
    const pods = podPair();
    const node = new Node(pods, await echoServer(pods.server), env);
    node.set.start();
    const state = new MeshState();
    parseLocalConfig(mesh, state);
    await node.set.apply(state.snapshot());
    for (const name of ["client", "server"] as const) await node.add(name);
    return node;
  }

  async add(name: "client" | "server", pod: Partial<AddedPod> = {}): Promise<void> {
    await this.set.add({
      uid: name,
      info: { name, namespace: "default", serviceAccount: name },
      namespaceFd: NetworkNamespace.open(`/proc/self/fd/${this.#pods[name].fd}`).fd,
      listeners: [],
      ...pod,
    });
  }

  async talk(): Promise<Talk> {
    return new Talk(
      await connectTcp({ address: serverAddress, port: 8080, namespaceFd: this.#pods.client.fd, timeoutMs: 20_000 }),
    );
  }

  async sum(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    return (await this.samples(name))
      .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
      .reduce((sum, { value }) => sum + value, 0);
  }

  async samples(name: string) {
    return parsePrometheus(await this.set.metrics()).samples.filter((sample) => sample.name === name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.set.end();
    this.#certificates.close();
    this.#app.close();
    this.#pods.close();
  }
}

class Talk {
  readonly stream: ByteStream;
  closed = false;
  #text = "";
  #wake: () => void = () => undefined;

  constructor(stream: ByteStream) {
    this.stream = stream;
    stream.setHandler({
      data: (chunk) => {
        this.#text += chunk.toString();
        this.#wake();
      },
      end: () => stream.end(),
      drain() {},
      close: () => {
        this.closed = true;
        this.#wake();
      },
    });
    stream.resume();
  }

  async isEchoed(words: string): Promise<boolean> {
    this.stream.write(Buffer.from(words));
    while (!this.#text.includes(words) && !this.closed) await this.#change();
    return this.#text.includes(words);
  }

  async end(): Promise<void> {
    this.stream.end();
    while (!this.closed) await this.#change();
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

async function echoServer(namespace: NetworkNamespace) {
  return await listenTcp({ fd: listenTcpInNamespace(namespace.fd, { address: "0.0.0.0", port: 8080 }) }, (stream) => {
    echo(stream);
  });
}

test("two workers share connections and tunnels evenly, and answer as one", async () => {
  await using node = await Node.start();
  const talks = await Promise.all(Array.from({ length: 60 }, async () => await node.talk()));
  assert.ok((await Promise.all(talks.map(async (talk) => await talk.isEchoed("one ")))).every(Boolean));
  const much = "0123456789abcdef".repeat(4096);
  assert.ok((await Promise.all(talks.map(async (talk) => await talk.isEchoed(much)))).every(Boolean));
  // Each connection is outbound in one pod and inbound in the other.
  assert.equal(node.set.open, 120);
  const shares = (await node.samples("serin_ztunnel_worker_connections")).map(({ value }) => value);
  assert.equal(shares.length, 2);
  assert.ok(Math.min(...shares) >= 48, `shares of 120: ${shares.join(" and ")}`);
  assert.equal(await node.sum("istio_tcp_connections_opened_total", { reporter: "source" }), 60);
  assert.equal(await node.sum("istio_tcp_connections_opened_total", { reporter: "destination" }), 60);
  const connections = await node.set.connections();
  assert.equal(connections.length, 120);
  assert.equal(new Set(connections.map(({ id }) => id)).size, 120);
  const pods = await node.set.pods();
  assert.deepEqual(
    pods.map(({ uid, state, connections: own }) => [uid, state, own.length]),
    [
      ["client", "serving", 60],
      ["server", "serving", 60],
    ],
  );
  await Promise.all(talks.map(async (talk) => await talk.end()));
  await until(() => node.set.open === 0);
});

test("a DENY policy cuts connections of both workers, and refuses later ones", async () => {
  await using node = await Node.start();
  const talks = await Promise.all(Array.from({ length: 20 }, async () => await node.talk()));
  assert.ok((await Promise.all(talks.map(async (talk) => await talk.isEchoed("one ")))).every(Boolean));
  const state = new MeshState();
  parseLocalConfig(
    "policies: [{name: none, namespace: default, scope: Namespace, action: Deny, rules: [[[{notDestinationPorts: [1]}]]]}]",
    state,
  );
  await node.set.apply({ ...noChange, policies: state.policies() });
  await until(() => talks.every(({ closed }) => closed));
  // On a busy machine, the reset arrives before the client notices that the connection is established.
  const later = node.talk().then(
    async (talk) => await talk.isEchoed("two "),
    () => false,
  );
  assert.equal(await later, false);
  await node.set.apply({ ...noChange, removedPolicies: ["default/none"] });
  assert.equal(await (await node.talk()).isEchoed("three "), true);
});

test("a worker that dies is replaced: no connection is refused, others continue, and no count is lost", async () => {
  await using node = await Node.start();
  const talks = await Promise.all(Array.from({ length: 20 }, async () => await node.talk()));
  assert.ok((await Promise.all(talks.map(async (talk) => await talk.isEchoed("one ")))).every(Boolean));
  assert.equal(await node.sum("istio_tcp_connections_opened_total", { reporter: "source" }), 20);
  await node.threads[0]?.terminate();
  // The process holds both pods' sockets, so new connections need only the worker that is alive.
  const during = await Promise.all(Array.from({ length: 20 }, async () => await node.talk()));
  assert.ok((await Promise.all(during.map(async (talk) => await talk.isEchoed("during ")))).every(Boolean));
  await until(() => node.threads.length === 3);
  await until(async () => (await node.samples("serin_ztunnel_worker_connections")).length === 2);
  const after = await Promise.all(Array.from({ length: 40 }, async () => await node.talk()));
  assert.ok((await Promise.all(after.map(async (talk) => await talk.isEchoed("after ")))).every(Boolean));
  const shares = (await node.samples("serin_ztunnel_worker_connections")).map(({ value }) => value);
  assert.ok(Math.min(...shares) >= 10, `the one in its place serves: ${shares.join(" and ")}`);
  assert.equal(await node.sum("istio_tcp_connections_opened_total", { reporter: "source" }), 80);
  assert.match(node.lines.join(""), /a worker has ended; its connections are lost, and a new worker replaces it/);
});

/** The number of descriptors of this process for network namespaces, and for sockets. */
function descriptors(): { readonly namespaces: number; readonly sockets: number } {
  const targets = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return [];
    }
  });
  const count = (kind: string): number => targets.filter((target) => target.startsWith(`${kind}:`)).length;
  return { namespaces: count("net"), sockets: count("socket") };
}

test("a worker that dies leaves no descriptor of a pod open, and connections of a removed pod keep its namespace", async () => {
  await using node = await Node.start();
  const before = descriptors();
  for (const count of [3, 4]) {
    await node.threads[count - 3]?.terminate();
    await until(() => node.threads.length === count);
    await until(async () => (await node.samples("serin_ztunnel_worker_connections")).length === 2);
  }
  const after = descriptors();
  assert.equal(after.namespaces, before.namespaces);
  // Sockets of an earlier test may have been open at first, on a busy machine.
  assert.ok(after.sockets <= before.sockets, `${after.sockets} sockets, ${before.sockets} before`);
  const talk = await node.talk();
  assert.ok(await talk.isEchoed("one "));
  const { namespaces } = descriptors();
  node.set.remove("client", true);
  node.set.remove("server", true);
  assert.ok(await talk.isEchoed("two "));
  assert.equal(descriptors().namespaces, namespaces);
  await talk.end();
  await until(() => descriptors().namespaces === namespaces - 2);
});

test("a worker that dies after it has opened sockets in pods leaves no descriptor of a namespace", async () => {
  await using node = await Node.start();
  const talkOnce = async (): Promise<void> => {
    const talks = await Promise.all(Array.from({ length: 20 }, async () => await node.talk()));
    assert.ok((await Promise.all(talks.map(async (talk) => await talk.isEchoed("one ")))).every(Boolean));
    await Promise.all(talks.map(async (talk) => await talk.end()));
    await until(() => node.set.open === 0);
  };
  await talkOnce();
  const { namespaces } = descriptors();
  for (const count of [3, 4]) {
    await node.threads[count - 3]?.terminate();
    await until(() => node.threads.length === count);
    await until(async () => (await node.samples("serin_ztunnel_worker_connections")).length === 2);
    await talkOnce();
    assert.equal(descriptors().namespaces, namespaces);
  }
});

function has(fd: number, inode: number): boolean {
  try {
    return fstatSync(fd).ino === inode;
  } catch {
    return false;
  }
}

/** Makes every reader of a file wait until the returned object is disposed. The readers then find an empty file. */
function withheld(path: string): Disposable {
  execFileSync("mkfifo", [`${path}.new`]);
  renameSync(`${path}.new`, path);
  const fifo = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  return {
    [Symbol.dispose]: () => {
      writeFileSync(`${path}.new`, "");
      renameSync(`${path}.new`, path);
      closeSync(fifo);
    },
  };
}

test("a removed pod's socket stays open while a worker that has just started is about to copy it", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "serin-workers-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const lists = join(folder, "lists.pem");
  writeFileSync(lists, "");
  await using node = await Node.start({ CRL_PATH: lists });
  const socket = listenTcpInNamespace(undefined, { address: "127.0.0.1", port: 0 });
  const { ino } = fstatSync(socket);
  await node.add("client", { uid: "removed", listeners: [{ role: "outbound", fd: socket }] });
  {
    using _lists = withheld(lists);
    await node.threads[0]?.terminate();
    await until(() => node.threads.length === 3);
    assert.equal((await node.set.pods()).length, 3);
    node.set.remove("removed", false);
    await setTimeout(100);
    assert.equal(has(socket, ino), true);
  }
  await until(() => !has(socket, ino));
  assert.deepEqual(
    (await node.set.pods()).map(({ uid }) => uid),
    ["client", "server"],
  );
});

test("a drain accepts nothing, waits for the connections of both workers, and reports how many are left", async () => {
  await using node = await Node.start();
  const talks = await Promise.all(Array.from({ length: 4 }, async () => await node.talk()));
  assert.ok((await Promise.all(talks.map(async (talk) => await talk.isEchoed("one ")))).every(Boolean));
  node.set.drain();
  await until(() => node.lines.join("").includes("draining, 8 connections\n"));
  await assert.rejects(node.talk());
  let idle = false;
  const waiting = node.set.idle().then(() => (idle = true));
  assert.ok(await talks[0]?.isEchoed("two "));
  assert.equal(idle, false);
  await Promise.all(talks.map(async (talk) => await talk.end()));
  await waiting;
  await until(() => node.lines.join("").includes("draining, 0 connections\n"));
  const exits = node.threads.map(async (thread) => await once(thread, "exit"));
  await node.set.end();
  assert.equal((await Promise.all(exits)).length, 2);
});
