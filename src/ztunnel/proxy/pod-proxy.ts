import { messageOf, transientError, type Logger } from "../../base/index.ts";
import { HbonePool, hboneDialer } from "../../dataplane/tunnels/index.ts";
import { closeDescriptor, keepAlive, listenTcp, type ByteStream } from "../../net/index.ts";
import type { DnsServer } from "../../dataplane/dns/index.ts";
import { DnsListener } from "./dns-listener.ts";
import type { WorkloadInfo } from "../state/model.ts";
import type { PassedListener, PodDescriptors } from "./served-pods.ts";
import { serveOutbound } from "./outbound.ts";
import { serveInboundPlaintext } from "./inbound-plaintext.ts";
import { InboundHbone } from "./inbound-hbone.ts";
import type { AcceptedKind } from "./connection-share.ts";
import { openListeners } from "./own-listeners.ts";
import {
  notServed,
  tooManyConnections,
  type LiveConnection,
  type PodContext,
  type ProxyEnvironment,
} from "./pod-context.ts";
import { keepIdentity } from "./pod-identity.ts";

export interface PodProxyOptions {
  readonly environment: ProxyEnvironment;
  readonly uid: string;
  readonly info: WorkloadInfo;
  /**
   * The descriptor of the pod's network namespace, or undefined for the ztunnel's own namespace. {@link PodProxy.close}
   * closes it unless `borrowsNamespace` is set.
   */
  readonly namespaceFd: number | undefined;
  readonly borrowsNamespace?: boolean;
  /** The pod's listening sockets. If the list is empty, {@link PodProxy.start} opens them. */
  readonly listeners: readonly PassedListener[];
  readonly itself?: boolean;
}

const components: Readonly<Record<AcceptedKind, string>> = {
  outbound: "outbound",
  "inbound-plaintext": "inbound passthrough",
  "inbound-hbone": "inbound",
};

const warnEveryMs = 10_000;

/**
 * This is a class and not an object literal: V8 stores an object literal with a getter as a dictionary, which is slow
 * to read, and each connection reads this object often.
 */
class ProxiedPod implements PodContext {
  readonly environment: ProxyEnvironment;
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly itself: boolean;
  readonly pool: HbonePool;
  readonly #openNamespace: () => number | undefined;

  constructor(
    { environment, uid, info, itself, pool }: Omit<PodContext, "namespaceFd">,
    openNamespace: () => number | undefined,
  ) {
    this.environment = environment;
    this.uid = uid;
    this.info = info;
    this.itself = itself;
    this.pool = pool;
    this.#openNamespace = openNamespace;
  }

  get namespaceFd(): number | undefined {
    return this.#openNamespace();
  }
}

export class PodProxy {
  readonly uid: string;
  readonly info: WorkloadInfo;
  readonly #options: PodProxyOptions;
  readonly #pod: PodContext;
  readonly #inbound: InboundHbone;
  readonly #log: Logger;
  #listeners: { close(): void }[] = [];
  #held: readonly PassedListener[] = [];
  #state: "serving" | "draining" | "closed" = "serving";
  #open = 0;
  #warnedAtMs = Number.NEGATIVE_INFINITY;
  #identity: Disposable | undefined;
  readonly #whenClosed = Promise.withResolvers<void>();

  constructor(options: PodProxyOptions) {
    this.#options = options;
    this.uid = options.uid;
    this.info = options.info;
    this.#log = options.environment.log;
    const pool = new HbonePool({
      dial: hboneDialer(options.environment.certificates, options.environment.clock),
      clock: options.environment.clock,
      // Idle tunnels count too: each keeps a descriptor for minutes, and a pod may have tunnels to thousands of others.
      admit: (connection) => options.environment.limit.admit(connection, options.uid),
    });
    const { environment, uid, info, itself = false } = options;
    this.#pod = new ProxiedPod({ environment, uid, info, itself, pool }, () => this.#openNamespace());
    this.#inbound = new InboundHbone(this.#pod);
  }

  get state(): "serving" | "draining" | "closed" {
    return this.#state;
  }

  owns(connection: LiveConnection): boolean {
    return connection.pod === this.#pod;
  }

  /** Resolves when the pod has no connections, no unanswered queries and no listeners left. */
  get closed(): Promise<void> {
    return this.#whenClosed.promise;
  }

  /** Opens or takes over the listeners. If one fails, none stays open. */
  async start(): Promise<void> {
    const { environment, listeners: passed, namespaceFd } = this.#options;
    // The ztunnel's own certificate is not prefetched, because few ztunnels need it. A handshake fetches it.
    if (!this.#pod.itself) this.#identity = keepIdentity(this.info, environment);
    const wanted = passed.length > 0 ? passed : openListeners(namespaceFd, environment.ports, this.#log);
    this.#held = wanted;
    let taken = 0;
    try {
      for (const listener of wanted) {
        // Count the descriptor before the call, because the code that listens on it closes it if it fails.
        taken += 1;
        this.#listeners.push(await this.#listen(listener));
      }
    } catch (error) {
      for (const { fd } of wanted.slice(taken)) closeDescriptor(fd);
      this.close();
      throw error;
    }
    this.#log.debug("pod is served", {
      uid: this.uid,
      name: this.info.name,
      namespace: this.info.namespace,
      listeners: wanted.length,
    });
  }

  /**
   * Stops accepting at once. Live connections continue. HBONE peers get a GOAWAY, so that they open a new connection.
   */
  drain(): void {
    if (this.#state !== "serving") return;
    this.#state = "draining";
    this.#stopListening();
    this.#inbound.drain();
    this.#pod.environment.tracker.drain((connection) => this.owns(connection));
    this.#endIfIdle();
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#stopListening();
    this.#inbound.close();
    const { tracker } = this.#pod.environment;
    for (const connection of tracker.list()) if (this.owns(connection.details)) connection.abort(new Error(notServed));
    this.#pod.pool.close();
    this.#identity?.[Symbol.dispose]();
    const { namespaceFd, borrowsNamespace = false } = this.#options;
    if (namespaceFd !== undefined && !borrowsNamespace) closeDescriptor(namespaceFd);
    this.#whenClosed.resolve();
  }

  /** Serves a connection that another thread has accepted. Returns false if this pod no longer accepts connections. */
  take(kind: AcceptedKind, stream: ByteStream): boolean {
    if (this.#state !== "serving") return false;
    this.#serve(kind, stream);
    return true;
  }

  /** The pod's namespace and listening sockets, for an agent that has lost its own descriptors. */
  get descriptors(): PodDescriptors {
    return { namespaceFd: this.#options.namespaceFd, listeners: this.#state === "serving" ? this.#held : [] };
  }

  #openNamespace(): number | undefined {
    if (this.#state === "closed") throw transientError("aborted", notServed);
    return this.#options.namespaceFd;
  }

  #stopListening(): void {
    for (const listener of this.#listeners) listener.close();
    this.#listeners = [];
  }

  async #listen({ role, fd }: PassedListener): Promise<{ close(): void }> {
    switch (role) {
      case "outbound":
      case "outbound/6":
        return await this.#listenFor("outbound", fd);
      case "inbound-plaintext":
      case "inbound-plaintext/6":
        return await this.#listenFor("inbound-plaintext", fd);
      case "inbound-hbone":
      case "inbound-hbone/6":
        return await this.#listenFor("inbound-hbone", fd);
      case "dns-udp":
      case "dns-udp/6":
        return this.#answersNames(await DnsListener.udp(this.#pod, fd, role === "dns-udp/6"));
      case "dns-tcp":
      case "dns-tcp/6":
        return this.#answersNames(await DnsListener.tcp(this.#pod, fd));
    }
  }

  async #listenFor(kind: AcceptedKind, fd: number): Promise<{ close(): void }> {
    const { keepalive } = this.#options.environment;
    // Without keepalive probes, a connection whose peer has vanished would stay open and keep a draining ztunnel alive.
    if (keepalive !== undefined) keepAlive({ fd }, keepalive);
    const { share } = this.#options.environment;
    const acceptsMore = share === undefined ? () => true : () => share.keeps(kind);
    return await listenTcp({ fd, acceptsMore }, (stream) => this.#accept(kind, stream));
  }

  /**
   * Counts a DNS listener as open until it has ended. A draining pod must first answer the queries that it has read,
   * because no other process has them.
   */
  #answersNames(listener: DnsServer): DnsServer {
    this.#open += 1;
    void listener.ended.then(() => {
      this.#open -= 1;
      this.#endIfIdle();
    });
    return listener;
  }

  #accept(kind: AcceptedKind, stream: ByteStream): void {
    const offered = this.#pod.environment.share?.offer(this.uid, kind, stream);
    if (offered === undefined) {
      this.#serve(kind, stream);
      return;
    }
    const placed = offered.then((isTaken) => {
      if (isTaken || this.#state === "closed") stream.destroy();
      else this.#serve(kind, stream);
    });
    this.#track(placed, kind, stream);
  }

  #serve(kind: AcceptedKind, stream: ByteStream): void {
    const { limit } = this.#pod.environment;
    const place = limit.admit(stream, this.uid);
    if (place === undefined) {
      this.#warnOfTooMany(kind);
      return;
    }
    const share = this.#pod.environment.share?.serve(kind);
    const served =
      kind === "outbound"
        ? serveOutbound(this.#pod, stream)
        : kind === "inbound-hbone"
          ? this.#inbound.serve(stream)
          : serveInboundPlaintext(this.#pod, stream);
    this.#track(served, kind, stream, () => {
      place[Symbol.dispose]();
      share?.[Symbol.dispose]();
    });
  }

  #warnOfTooMany(kind: AcceptedKind): void {
    const nowMs = this.#pod.environment.clock.steadyMs();
    if (nowMs - this.#warnedAtMs < warnEveryMs) return;
    this.#warnedAtMs = nowMs;
    const { name, namespace } = this.info;
    this.#log.warn("connections are refused", {
      component: components[kind],
      name,
      namespace,
      why: tooManyConnections,
    });
  }

  /** Counts a connection as open until `served` has settled. */
  #track(served: Promise<void>, kind: AcceptedKind, stream: ByteStream, release?: () => void): void {
    this.#open += 1;
    const ended = (): void => {
      release?.();
      this.#open -= 1;
      this.#endIfIdle();
    };
    served.then(ended, (error: unknown) => {
      this.#log.error("a connection failed unexpectedly", { component: components[kind], error: messageOf(error) });
      // Close the connection here, because no other code does.
      stream.destroy({ reset: true });
      ended();
    });
  }

  #endIfIdle(): void {
    if (this.#state === "draining" && this.#open === 0) this.close();
  }
}
