// Runs a ztunnel and a server in one network namespace, and a client in another one that a link connects to it. Rules
// redirect the client's traffic to the ztunnel, which is both ends of the tunnel.
import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { action, match, NetworkNamespace, NftNetlink, NftTransaction, RouteNetlink } from "../../src/net/index.ts";
import { answerOf } from "../answer-of.ts";
import { answersReady } from "../answers-ready.ts";
import { memoryOf, nanosSince, threadNanos } from "../process-cost.ts";
import { megabyte, type Answer, type Order, type Work } from "./ends.ts";
import { endsWithThis } from "../../scripts/lab/ends-with-this.ts";

export const serverAddress = "10.1.0.2";
const clientAddress = "10.1.0.1";
const readyTimeoutMs = 120_000;
const stopTimeoutMs = 15_000;
const sinkTimeoutMs = 60_000;
const warmUpSliceMs = 1000;
const lastWordsBytes = 1000;
const readinessPort = 15_021;
/** The core for the ztunnel under test. The other core is for the load. */
const subjectCore = "0";
const defaultEndsCores = ["1"] as const;

const mesh = `
workloads:
- {uid: "c//Pod/default/client", name: client, namespace: default, serviceAccount: bench, workloadIps: ["${clientAddress}"], protocol: HBONE, node: local, network: "", services: {}}
- {uid: "c//Pod/default/server", name: server, namespace: default, serviceAccount: bench, workloadIps: ["${serverAddress}"], protocol: HBONE, node: local, network: "", services: {}}
`;

export interface Subject {
  readonly name: string;
  readonly command: readonly string[];
  readonly workers: number;
  /** Core numbers in taskset's form. */
  readonly cores: string;
  /** A client and a server run on each of these cores. */
  readonly endsCores: readonly string[];
}

export interface Measured {
  /** The number of round trips, megabytes or connections. */
  readonly count: number;
  /** The CPU time of all of them, in microseconds. */
  readonly cpuMicros: number;
  readonly p99Ms: number;
  /** The serving threads. The busiest thread comes first. */
  readonly threads: readonly ThreadTime[];
}

export interface ThreadTime {
  /** The share of the time in which the thread ran. */
  readonly ran: number;
  /** The share of the time in which the thread ran, or waited for a core that something else used. */
  readonly hadWork: number;
}

/**
 * Returns Serin's ztunnel of a checkout, started as in an installation. If `profiles` is given, the ztunnel writes a
 * CPU profile to that directory.
 */
export function serinOf(
  directory: string,
  name: string,
  {
    profiles,
    workers = 1,
    cores = subjectCore,
    endsCores = defaultEndsCores,
  }: { profiles?: string | undefined; workers?: number; cores?: string; endsCores?: readonly string[] } = {},
): Subject {
  const command = [join(directory, "bin/serin"), "ztunnel"];
  const profiled =
    profiles === undefined ? command : ["env", `NODE_OPTIONS=--cpu-prof --cpu-prof-dir=${profiles}`, ...command];
  return { name, command: profiled, workers, cores, endsCores };
}

export class Scene {
  readonly name: string;
  readonly #workers: number;
  readonly #logFile: string;
  readonly #client: NetworkNamespace;
  readonly #server: NetworkNamespace;
  readonly #subject: ChildProcess;
  readonly #loads: readonly ChildProcess[];
  readonly #servers: readonly ChildProcess[];
  readonly #serversListen: Promise<unknown>;

  constructor(subject: Subject, scratch: string) {
    this.name = subject.name;
    this.#workers = subject.workers;
    this.#client = NetworkNamespace.create();
    this.#server = NetworkNamespace.create();
    link(this.#client, this.#server);
    redirect(this.#server);
    const directory = join(scratch, subject.name);
    mkdirSync(directory);
    const meshFile = join(directory, "mesh.yaml");
    writeFileSync(meshFile, mesh);
    this.#logFile = join(directory, "log");
    const log = openSync(this.#logFile, "w");
    this.#subject = this.#server.enter(() =>
      pinned(subject.cores, subject.command, {
        env: {
          PATH: process.env["PATH"],
          HOME: process.env["HOME"],
          PROXY_MODE: "dedicated",
          PROXY_WORKLOAD_INFO: "default/client/bench",
          LOCAL_XDS_PATH: meshFile,
          // An empty address means that there is no control plane. Otherwise, upstream's ztunnel would wait for its
          // default one.
          XDS_ADDRESS: "",
          FAKE_CA: "true",
          ZTUNNEL_WORKER_THREADS: String(subject.workers),
          NODE_NAME: "local",
          RUST_LOG: "info",
        },
        cwd: directory,
        stdio: ["ignore", log, log],
      }),
    );
    closeSync(log);
    const ends = (role: string): ChildProcess[] =>
      subject.endsCores.map((core, place) =>
        pinned(core, [process.execPath, join(import.meta.dirname, "../ztunnel.ts"), role, String(place)], {
          stdio: ["ignore", "inherit", "inherit", "ipc"],
        }),
      );
    this.#loads = this.#client.enter(() => ends("load"));
    this.#servers = this.#server.enter(() => ends("server"));
    this.#serversListen = Promise.all(
      this.#servers.map(async (server) => await answerOf(server, `the server of ${this.name}`)),
    );
    // Another failure may come before any code waits for this promise.
    this.#serversListen.catch(() => undefined);
  }

  /** Resolves when the ztunnel and the servers behind it accept connections. */
  async ready(): Promise<void> {
    await this.#serversListen;
    const deadline = Date.now() + readyTimeoutMs;
    for (;;) {
      if (this.#subject.exitCode !== null) throw new Error(`${this.name} ended at once: ${this.#lastWords()}`);
      if (await answersReady(this.#server, readinessPort)) return;
      if (Date.now() > deadline)
        throw new Error(`${this.name} is not ready after ${readyTimeoutMs / 1000} s: ${this.#lastWords()}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  get #pid(): number {
    return this.#subject.pid ?? 0;
  }

  /** Returns the proportional set size in MB of 2^20 bytes. */
  pssMb(): number {
    return memoryOf(this.#pid).shareMb;
  }

  async measure(work: Work, sliceMs: number): Promise<Measured> {
    await this.run({ order: "open", work });
    const sunkBytesBefore = await this.#sunkBytes();
    const [before, startedMs] = [threadNanos(this.#pid), performance.now()];
    const done = await this.run({ order: "go", sliceMs });
    if (work.kind === "up") await this.#sinksHave(sunkBytesBefore + done.count * megabyte);
    const elapsedNanos = (performance.now() - startedMs) * 1e6;
    const spent = [...nanosSince(this.#pid, before).values()].toSorted((left, right) => right.ran - left.ran);
    await this.run({ order: "close" });
    return {
      count: done.count,
      cpuMicros: spent.reduce((sum, { ran }) => sum + ran, 0) / 1000,
      p99Ms: done.p99Ms,
      threads: spent
        .slice(0, this.#workers)
        .map(({ ran, waited }) => ({ ran: ran / elapsedNanos, hadWork: (ran + waited) / elapsedNanos })),
    };
  }

  /**
   * Waits until the servers have received this many bytes. The end of the clients' writes shows only that the kernel
   * has the bytes, and its buffers hold megabytes of a connection.
   */
  async #sinksHave(bytes: number): Promise<void> {
    const deadline = Date.now() + sinkTimeoutMs;
    while ((await this.#sunkBytes()) < bytes) {
      if (Date.now() > deadline) throw new Error(`${this.name} has not delivered all bytes: ${this.#lastWords()}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async #sunkBytes(): Promise<number> {
    const sunk = await Promise.all(
      this.#servers.map(async (server) => {
        const answer = answerOf(server, `the server of ${this.name}`);
        server.send("sunk");
        return Number(await answer);
      }),
    );
    return sunk.reduce((sum, bytes) => sum + bytes, 0);
  }

  /**
   * Does this much of the work for each worker, without measuring it. The amount is for each worker, because each
   * compiles its code for itself.
   */
  async warmUp(work: Work, countOfWorker: number): Promise<void> {
    for (let done = 0; done < countOfWorker * this.#workers;) {
      await this.run({ order: "open", work });
      done += (await this.run({ order: "go", sliceMs: warmUpSliceMs })).count;
      await this.run({ order: "close" });
    }
  }

  /**
   * Gives an order to all clients. The answer is the sum of their answers. A single client opens the order's number of
   * connections. If there are several, they share this number for each worker in equal parts.
   */
  async run(order: Order): Promise<Answer> {
    const part = this.#loads.length === 1 ? 1 : this.#workers / this.#loads.length;
    const ofEach =
      order.order === "open"
        ? { ...order, work: { ...order.work, connections: Math.ceil(order.work.connections * part) } }
        : order;
    const answers = await Promise.all(
      this.#loads.map(async (load) => {
        const answer = answerOf(load, `the load of ${this.name}`);
        load.send(ofEach);
        return (await answer) as Answer;
      }),
    );
    const failed = answers.find(({ error }) => error !== undefined);
    if (failed !== undefined) throw new Error(`${this.name}: ${failed.error}`);
    return {
      count: answers.reduce((sum, { count }) => sum + count, 0),
      p99Ms: Math.max(...answers.map(({ p99Ms }) => p99Ms)),
    };
  }

  /** Stops the ztunnel gracefully, so that it writes its profile. Kills it if that takes too long. */
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#subject.once("exit", resolve));
    for (const child of [...this.#loads, ...this.#servers]) child.kill("SIGKILL");
    this.#subject.kill("SIGTERM");
    const timer = setTimeout(() => this.#subject.kill("SIGKILL"), stopTimeoutMs);
    if (this.#subject.exitCode === null && this.#subject.signalCode === null) await ended;
    clearTimeout(timer);
    this.#client.close();
    this.#server.close();
  }

  #lastWords(): string {
    return readFileSync(this.#logFile, "utf8").slice(-lastWordsBytes);
  }
}

/** Starts a process on one core. It ends when this process ends. */
function pinned(core: string, command: readonly string[], options: SpawnOptions): ChildProcess {
  return spawn(...endsWithThis("taskset", "-c", core, ...command), options);
}

function link(client: NetworkNamespace, server: NetworkNamespace): void {
  const [clientLinks, serverLinks] = [new RouteNetlink(client.fd), new RouteNetlink(server.fd)];
  clientLinks.setLoopbackUp();
  serverLinks.setLoopbackUp();
  clientLinks.addVeth({ name: "eth0", index: 2, peer: { name: "eth0", index: 2, namespaceFd: server.fd } });
  clientLinks.addAddress(2, { address: clientAddress, prefixLength: 24 });
  clientLinks.setLink(2, { up: true });
  serverLinks.setLink(2, { up: true });
  serverLinks.addAddress(2, { address: serverAddress, prefixLength: 24 });
  clientLinks.close();
  serverLinks.close();
  // Allow quick reuse of ports, because one client opens many short connections to one address.
  for (const namespace of [client, server])
    namespace.enter(() => {
      writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "1024 65000");
      writeFileSync("/proc/sys/net/ipv4/tcp_tw_reuse", "1");
    });
}

function redirect(namespace: NetworkNamespace): void {
  using nft = new NftNetlink(namespace.fd);
  const transaction = new NftTransaction();
  const table = transaction.table("ip", "bench").replace();
  table.addChain("pre", { type: "nat", hook: "prerouting", priority: -100 });
  table.addRule("pre", match.inputInterface("eth0"), match.protocol("tcp"), action.redirect(15_001));
  nft.commit(transaction);
}
