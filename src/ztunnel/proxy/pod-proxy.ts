import { messageOf, type Logger } from "../../base/index.ts";
import { HbonePool, hboneDialer } from "../../dataplane/index.ts";
import { closeDescriptor, listenTcp, listenTcpInNamespace, type ByteListener, type ByteStream } from "../../net/index.ts";
import { workloadIdentity, type WorkloadInfo } from "../state/model.ts";
import { serveOutbound } from "./outbound.ts";
import { serveInboundPlaintext } from "./inbound-plaintext.ts";
import { InboundHbone } from "./inbound-hbone.ts";
import type { PodContext, ProxyEnvironment } from "./pod-context.ts";

/** A listening socket that somebody made for us, by its role: `outbound`, `inbound-hbone/6`, … */
export interface PassedListener {
  readonly role: string;
  readonly fd: number;
}

export interface PodProxyOptions {
  readonly environment: ProxyEnvironment;
  readonly uid: string;
  readonly info: WorkloadInfo;
  /** The pod's network namespace; ours to close. Undefined for our own. */
  readonly namespaceFd: number | undefined;
  /** Empty: we open our own in the namespace. */
  readonly listeners: readonly PassedListener[];
}

type TcpRole = "outbound" | "inbound-plaintext" | "inbound-hbone";
const tcpRoles: readonly TcpRole[] = ["outbound", "inbound-plaintext", "inbound-hbone"];

/** Everything that serves one pod: its listeners, its pool, its connections. */
export class PodProxy {
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly #options: PodProxyOptions;
  readonly #pod: PodContext;
  readonly #inbound: InboundHbone;
  readonly #log: Logger;
  readonly #listeners: ByteListener[] = [];
  #state: "serving" | "draining" | "closed" = "serving";
  #open = 0;

  constructor(options: PodProxyOptions) {
    this.#options = options;
    this.uid = options.uid;
    this.info = options.info;
    this.#log = options.environment.log;
    const pool = new HbonePool({ dial: hboneDialer(options.environment.certificates), clock: options.environment.clock });
    this.#pod = { environment: options.environment, uid: options.uid, info: options.info, namespaceFd: options.namespaceFd, pool };
    this.#inbound = new InboundHbone(this.#pod);
  }

  get state(): "serving" | "draining" | "closed" {
    return this.#state;
  }

  /** Opens or takes over the listeners; fails, with nothing left open, when one cannot be had. */
  async start(): Promise<void> {
    this.#prefetchCertificate();
    const passed = this.#options.listeners;
    const wanted = passed.length > 0 ? passed : this.#ownListeners();
    try {
      for (const { role, fd } of wanted) {
        const serve = this.#server(role);
        if (serve === undefined) continue;
        this.#listeners.push(await listenTcp({ fd }, serve));
      }
    } catch (error) {
      this.close();
      throw error;
    }
    this.#log.debug("pod is served", { uid: this.uid, name: this.info.name, namespace: this.info.namespace, listeners: wanted.length });
  }

  /** Stops accepting at once; live connections go on, and peers are told to move. */
  drain(): void {
    if (this.#state !== "serving") return;
    this.#state = "draining";
    for (const listener of this.#listeners) listener.close();
    this.#inbound.drain();
    this.#endIfIdle();
  }

  /** Ends everything now. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    for (const listener of this.#listeners) listener.close();
    this.#inbound.close();
    const { tracker } = this.#pod.environment;
    for (const connection of tracker.list()) if (connection.details.podUid === this.uid) connection.abort();
    this.#pod.pool.close();
    if (this.#options.namespaceFd !== undefined) closeDescriptor(this.#options.namespaceFd);
  }

  #server(role: string): ((stream: ByteStream) => void) | undefined {
    switch (role.replace(/\/6$/, "")) {
      case "outbound":
        return (stream) => this.#track(serveOutbound(this.#pod, stream), "outbound");
      case "inbound-plaintext":
        return (stream) => this.#track(serveInboundPlaintext(this.#pod, stream), "inbound passthrough");
      case "inbound-hbone":
        return (stream) => this.#track(this.#inbound.serve(stream), "inbound");
      default:
        return undefined;
    }
  }

  /** Counts what is served, to know when a draining pod is done. */
  #track(served: Promise<void>, component: string): void {
    this.#open += 1;
    served
      .catch((error: unknown) => this.#log.error("a connection failed unexpectedly", { component, error: messageOf(error) }))
      .finally(() => {
        this.#open -= 1;
        this.#endIfIdle();
      });
  }

  #endIfIdle(): void {
    if (this.#state === "draining" && this.#open === 0) this.close();
  }

  #ownListeners(): readonly PassedListener[] {
    const { ports } = this.#pod.environment;
    const portOf: Readonly<Record<TcpRole, number>> = { outbound: ports.outbound, "inbound-plaintext": ports.inboundPlaintext, "inbound-hbone": ports.hbone };
    const made: PassedListener[] = [];
    const { namespaceFd } = this.#options;
    for (const role of tcpRoles) {
      const common = { port: portOf[role], transparent: true, reusePort: true };
      made.push({ role, fd: listenTcpInNamespace(namespaceFd, { address: "0.0.0.0", ...common }) });
      try {
        made.push({ role: `${role}/6`, fd: listenTcpInNamespace(namespaceFd, { address: "::", ...common }) });
      } catch (error) {
        // A namespace without IPv6.
        this.#log.debug("no IPv6 listener", { role, error: messageOf(error) });
      }
    }
    return made;
  }

  #prefetchCertificate(): void {
    const { state, clock, certificates } = this.#pod.environment;
    void state.waitForPod(this.info, 300_000, clock).then((workload) => {
      if (workload !== undefined && this.#state === "serving") certificates.prefetch(workloadIdentity(workload));
    });
  }
}
