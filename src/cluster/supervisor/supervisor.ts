import { mkdirSync, writeFileSync } from "node:fs";
import type { Server } from "node:net";
import { join } from "node:path";
import {
  aborted,
  envPart,
  internalError,
  messageOf,
  programVariables,
  SerinError,
  systemRandom,
  userError,
  type Clock,
  type Environment,
  type Logger,
} from "../../base/index.ts";
import { libc, listenTcpInNamespace, type NetworkNamespace } from "../../net/index.ts";
import type { LauncherReply, LauncherRequest } from "../launcher/index.ts";
import { labNetwork, readClusterRecord, type ClusterNode, type ClusterRecord } from "../record/index.ts";
import { mount, mountFlags } from "../node/libc.ts";
import { Fabric } from "./fabric.ts";
import { LoadBalancerForwards } from "./load-balancer-forwards.ts";
import { ManagedChild } from "./managed-child.ts";
import type { NodeReport } from "../node/node-report.ts";

export interface SupervisorOptions {
  readonly stateDirectory: string;
  /**
   * The path of the included Node.js, and the arguments before a role's name, which start a role without `bin/serin`.
   */
  readonly program: string;
  readonly programArgs: readonly string[];
  readonly env: Environment;
  readonly log: Logger;
  readonly clock: Clock;
}

const listenTimeoutMs = 10_000;
const keptVariables = [
  "PATH",
  "LANG",
  "TZ",
  "NODE_COMPILE_CACHE",
  "MALLOC_ARENA_MAX",
  "SERIN_LOG_LEVEL",
  ...programVariables,
];

/** Makes the lab's network, starts the lab's own processes in it, and restarts them if they end. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #log: Logger;
  readonly #children: ManagedChild[] = [];
  readonly #waiting = new Map<number, { resolve: (reply: ListenReply) => void; reject: (error: Error) => void }>();
  #nextRequest = 1;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** Runs until the launcher is gone or the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    if (process.send === undefined)
      throw userError("launcher-failed", "the supervisor is started by the launcher", { hint: "serin cluster create" });
    process.on("message", (message, handle) => this.#onReply(message as LauncherReply, handle as Server | undefined));
    const disconnected = new Promise<void>((resolve) => process.once("disconnect", resolve));
    try {
      await this.#start();
      await Promise.race([disconnected, aborted(signal)]);
    } catch (error) {
      const failure =
        error instanceof SerinError ? error : internalError("launcher-failed", messageOf(error), { cause: error });
      send({ type: "failed", kind: failure.kind, code: failure.code, message: failure.message, hint: failure.hint });
      throw error;
    } finally {
      // Do not restart children from now on. The lab's PID 1 ends together with this process, and the kernel then kills
      // all other processes.
      for (const child of this.#children) child.abandon();
    }
  }

  async #start(): Promise<void> {
    const record = readClusterRecord(this.#options.stateDirectory);
    const controlPlane = record?.nodes[0];
    if (record === undefined || controlPlane === undefined)
      throw userError("cluster-not-found", `there is no cluster.json in ${this.#options.stateDirectory}`);
    const runDirectory = join(this.#options.stateDirectory, "run");
    mkdirSync(runDirectory, { recursive: true });
    mount("tmpfs", runDirectory, "tmpfs", mountFlags.noSuid | mountFlags.noDevices, "mode=755");
    const fabric = new Fabric(record.nodes);
    const descriptors = await this.#apiServerSockets(record, controlPlane, fabric);
    const forwards = new LoadBalancerForwards({
      stateDirectory: this.#options.stateDirectory,
      log: this.#log,
      clock: this.#options.clock,
      listen: async (address, port) => await this.#listen("forward", address, port),
    });
    this.#startApiServer(record, controlPlane, fabric, descriptors);
    await Promise.all([
      this.#startControllers(record, controlPlane, fabric),
      this.#startNodes(record, fabric, forwards),
    ]);
    send({ type: "ready" });
  }

  /**
   * Opens listening sockets that outlive the API server's process: on the lab's network, on the user's loopback
   * interface, and at the same loopback address in the lab's host namespace. So one kubeconfig works inside and outside
   * the lab.
   */
  async #apiServerSockets(record: ClusterRecord, controlPlane: ClusterNode, fabric: Fabric): Promise<number[]> {
    const inFabric = listenTcpInNamespace(fabric.namespaceOf(controlPlane.name).fd, {
      address: controlPlane.address,
      port: labNetwork.apiServerPort,
    });
    const { server, address, port } = await this.#listen("api-server", record.apiServer.address, record.apiServer.port);
    const onLoopback = keepDescriptor(server);
    const inside = listenTcpInNamespace(undefined, { address, port });
    return [inFabric, onLoopback, inside];
  }

  #startApiServer(
    { eventTtlMs }: ClusterRecord,
    controlPlane: ClusterNode,
    fabric: Fabric,
    descriptors: readonly number[],
  ): void {
    const { stateDirectory } = this.#options;
    const pki = (name: string): string => join(stateDirectory, "pki", name);
    const configuration = {
      stateDirectory,
      // Descriptors 0 to 3 are standard input, standard output, standard error and the IPC channel.
      listen: descriptors.map((_, index) => ({ fd: 4 + index })),
      caCertificate: pki("ca.crt"),
      serverCertificate: pki("apiserver.crt"),
      serverKey: pki("apiserver.key"),
      serviceAccountKey: pki("sa.key"),
      nodeClientCertificate: pki("apiserver-kubelet-client.crt"),
      nodeClientKey: pki("apiserver-kubelet-client.key"),
      serviceCidr: labNetwork.serviceCidr,
      advertise: { address: controlPlane.address, port: labNetwork.apiServerPort },
      eventTtlMs,
    };
    const file = join(this.#options.stateDirectory, "run/apiserver.json");
    writeFileSync(file, JSON.stringify(configuration));
    this.#manage(
      "apiserver",
      ["cluster-apiserver", file],
      fabric.namespaceOf(controlPlane.name),
      descriptors,
      () => undefined,
    );
  }

  /**
   * Starts the process with the controllers. Resolves when the CRDs that every lab has exist, because the user's first
   * command may need them.
   */
  async #startControllers(record: ClusterRecord, controlPlane: ClusterNode, fabric: Fabric): Promise<void> {
    const kubeconfig = join(this.#options.stateDirectory, "pki/controllers.kubeconfig");
    const dns = `${controlPlane.address}:53`;
    const authority = join(this.#options.stateDirectory, "pki/ca");
    const args = ["cluster-controllers", "--kubeconfig", kubeconfig, "--dns-listen", dns];
    args.push("--signing-authority", authority);
    if (record.autoscale === true) args.push("--autoscale");
    await new Promise<void>((resolve) => {
      this.#manage("controllers", args, fabric.namespaceOf(controlPlane.name), [], (message) => {
        if ((message as NodeReport).ready === true) resolve();
      });
    });
  }

  async #startNodes(record: ClusterRecord, fabric: Fabric, forwards: LoadBalancerForwards): Promise<void> {
    const ready = record.nodes.map(
      (node) =>
        new Promise<void>((resolve) => {
          const args = ["cluster-node", "--state-dir", this.#options.stateDirectory, "--name", node.name];
          this.#manage(node.name, args, fabric.namespaceOf(node.name), [], (message) => {
            const report = message as NodeReport;
            if (report.ready === true) resolve();
            if (report.loadBalancers !== undefined) forwards.update(node.name, report.loadBalancers);
          });
        }),
    );
    await Promise.all(ready);
  }

  #manage(
    name: string,
    args: readonly string[],
    namespace: NetworkNamespace,
    descriptors: readonly number[],
    onMessage: (message: unknown) => void,
  ): void {
    const { program, programArgs, env, log, clock } = this.#options;
    const environment = {
      HOME: "/",
      NODE_OPTIONS: `--max-semi-space-size=${name === "apiserver" ? 8 : 4}`,
      ...envPart(env, keptVariables),
    };
    const child = new ManagedChild({
      name,
      program,
      args: [...programArgs, ...args],
      environment,
      namespace,
      descriptors,
      log,
      clock,
      random: systemRandom,
      onMessage,
    });
    this.#children.push(child);
    child.start();
  }

  async #listen(purpose: "api-server" | "forward", address: string, port: number): Promise<ListenReply> {
    const id = this.#nextRequest;
    this.#nextRequest += 1;
    const { promise, resolve, reject } = Promise.withResolvers<ListenReply>();
    this.#waiting.set(id, { resolve, reject });
    const timer = setTimeout(
      () => reject(internalError("launcher-failed", "the launcher did not answer")),
      listenTimeoutMs,
    );
    send({ type: "listen", id, purpose, address, port });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  #onReply(reply: LauncherReply, server: Server | undefined): void {
    const waiting = this.#waiting.get(reply.id);
    if (reply.type === "refused") waiting?.reject(userError("cannot-listen", reply.message));
    else if (server === undefined) waiting?.reject(internalError("launcher-failed", "the launcher sent no socket"));
    else if (waiting === undefined) server.close();
    else waiting.resolve({ server, address: reply.address, port: reply.port });
  }
}

interface ListenReply {
  readonly server: Server;
  readonly address: string;
  readonly port: number;
}

function send(message: LauncherRequest): void {
  if (process.connected) process.send?.(message);
}

/**
 * Keeps only the descriptor of a listening socket. This process accepts no connections itself, but passes the socket to
 * each new child.
 */
function keepDescriptor(server: Server): number {
  const handle = (server as unknown as { _handle: { fd: number } | null })._handle;
  if (handle === null) throw internalError("unexpected", "the launcher's socket has no descriptor");
  const duplicateCloseOnExec = 1030;
  const descriptor = libc().fcntl(handle.fd, duplicateCloseOnExec, 0);
  if (descriptor < 0) throw internalError("unexpected", "cannot duplicate the API server's socket");
  server.close();
  return descriptor;
}
