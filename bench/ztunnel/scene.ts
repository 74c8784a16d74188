// Runs a ztunnel and a server in one network namespace, and a client in another one that a link connects to it. Rules
// redirect the client's traffic to the ztunnel, which is both ends of the tunnel.
import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  action,
  match,
  NetworkNamespace,
  NftNetlink,
  NftTransaction,
  RouteNetlink,
  connectTcp,
} from "../../src/net/index.ts";
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
export const subjectCore = "0";
const endsCore = "1";

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
}

export interface Measured {
  readonly cpuMicros: number;
  readonly p99Ms: number;
  /** The share of the time in which each serving thread ran. The busiest thread comes first. */
  readonly busy: readonly number[];
}

/**
 * Serin's ztunnel of a checkout, started as in an installation. If a directory is given, it writes a CPU profile there.
 */
export function serinOf(
  directory: string,
  name: string,
  {
    profiles,
    workers = 1,
    cores = subjectCore,
  }: { profiles?: string | undefined; workers?: number; cores?: string } = {},
): Subject {
  const command = [join(directory, "bin/serin"), "ztunnel"];
  const profiled =
    profiles === undefined ? command : ["env", `NODE_OPTIONS=--cpu-prof --cpu-prof-dir=${profiles}`, ...command];
  return { name, command: profiled, workers, cores };
}

export class Scene {
  readonly name: string;
  readonly #workers: number;
  readonly #logFile: string;
  readonly #client: NetworkNamespace;
  readonly #server: NetworkNamespace;
  readonly #subject: ChildProcess;
  readonly #ends: readonly ChildProcess[];
  readonly #load: ChildProcess;
  readonly #sink: ChildProcess;
  readonly #serverListens: Promise<void>;

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
    const end = (role: string): ChildProcess =>
      pinned(endsCore, [process.execPath, join(import.meta.dirname, "../ztunnel.ts"), role], {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      });
    this.#load = this.#client.enter(() => end("load"));
    const server = this.#server.enter(() => end("server"));
    this.#sink = server;
    this.#ends = [this.#load, server];
    this.#serverListens = new Promise((resolve, reject) => {
      server.once("message", () => resolve());
      server.once("exit", () => reject(new Error(`the server of ${this.name} ended`)));
    });
    // Another failure may come before any code waits for this promise.
    this.#serverListens.catch(() => undefined);
  }

  /** Resolves when the ztunnel and the server behind it accept connections. */
  async ready(): Promise<void> {
    await this.#serverListens;
    const deadline = Date.now() + readyTimeoutMs;
    for (;;) {
      if (this.#subject.exitCode !== null) throw new Error(`${this.name} ended at once: ${this.#lastWords()}`);
      if (await this.#answersReady()) return;
      if (Date.now() > deadline)
        throw new Error(`${this.name} is not ready after ${readyTimeoutMs / 1000} s: ${this.#lastWords()}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** The CPU time of each of the ztunnel's threads, in nanoseconds. */
  cpuNanos(): Map<string, number> {
    const tasks = `/proc/${this.#subject.pid}/task`;
    return new Map(
      readdirSync(tasks).map((task) => [
        task,
        Number(readFileSync(join(tasks, task, "schedstat"), "latin1").split(" ")[0]),
      ]),
    );
  }

  /** The proportional set size in MB. */
  pssMb(): number {
    const text = readFileSync(`/proc/${this.#subject.pid}/smaps_rollup`, "latin1");
    return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) / 1024;
  }

  /** Does the work for a slice of time. */
  async measure(work: Work, sliceMs: number): Promise<Measured> {
    await this.run({ order: "open", work });
    const sunkBytesBefore = await this.#sunkBytes();
    const [before, startedMs] = [this.cpuNanos(), performance.now()];
    const done = await this.run({ order: "go", sliceMs });
    if (work.kind === "up") await this.#sinkHas(sunkBytesBefore + done.count * megabyte);
    const elapsedNanos = (performance.now() - startedMs) * 1e6;
    const spent = [...this.cpuNanos()]
      .map(([task, nanos]) => nanos - (before.get(task) ?? 0))
      .toSorted((left, right) => right - left);
    await this.run({ order: "close" });
    return {
      cpuMicros: spent.reduce((sum, nanos) => sum + nanos, 0) / 1000 / done.count,
      p99Ms: done.p99Ms,
      busy: spent.slice(0, this.#workers).map((nanos) => nanos / elapsedNanos),
    };
  }

  /** The client has only written its bytes to the kernel, whose buffers and windows hold megabytes of a connection. */
  async #sinkHas(bytes: number): Promise<void> {
    const deadline = Date.now() + sinkTimeoutMs;
    while ((await this.#sunkBytes()) < bytes) {
      if (Date.now() > deadline) throw new Error(`${this.name} has not delivered all bytes: ${this.#lastWords()}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  async #sunkBytes(): Promise<number> {
    const answered = new Promise<number>((resolve, reject) => {
      this.#sink.once("message", (bytes) => resolve(Number(bytes)));
      this.#sink.once("exit", () => reject(new Error(`the server of ${this.name} ended`)));
    });
    this.#sink.send("sunk");
    const bytes = await answered;
    this.#sink.removeAllListeners("exit");
    return bytes;
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

  async run(order: Order): Promise<Answer> {
    const answered = new Promise<Answer>((resolve, reject) => {
      this.#load.once("message", (answer) => resolve(answer as Answer));
      this.#load.once("exit", () => reject(new Error(`the load of ${this.name} ended`)));
    });
    this.#load.send(order);
    const answer = await answered;
    this.#load.removeAllListeners("exit");
    if (answer.error !== undefined) throw new Error(`${this.name}: ${answer.error}`);
    return answer;
  }

  /** Stops the ztunnel gracefully, so that it writes its profile. Kills it if that takes too long. */
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#subject.once("exit", resolve));
    for (const child of this.#ends) child.kill("SIGKILL");
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

  async #answersReady(): Promise<boolean> {
    try {
      const stream = await connectTcp({
        address: "127.0.0.1",
        port: readinessPort,
        namespaceFd: this.#server.fd,
        timeoutMs: 1000,
      });
      return await new Promise((resolve) => {
        stream.setHandler({
          data: (chunk) => {
            resolve(chunk.toString("latin1", 9, 12) === "200");
            stream.destroy();
          },
          end: () => stream.destroy(),
          drain() {},
          close: () => resolve(false),
        });
        stream.resume();
        stream.write(Buffer.from("GET /healthz/ready HTTP/1.1\r\nhost: localhost\r\n\r\n"));
      });
    } catch {
      return false;
    }
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
