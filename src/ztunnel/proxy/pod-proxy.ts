import { messageOf, type Logger } from "../../base/index.ts";
import { HbonePool, hboneDialer } from "../../dataplane/index.ts";
import { bindUdpInNamespace, closeDescriptor, listenTcp, listenTcpInNamespace } from "../../net/index.ts";
import type { ZdsListenerRole } from "../../wire/zds/index.ts";
import { DnsListener } from "../dns/dns-listener.ts";
import { workloadIdentity, type WorkloadInfo } from "../state/model.ts";
import { serveOutbound } from "./outbound.ts";
import { serveInboundPlaintext } from "./inbound-plaintext.ts";
import { InboundHbone } from "./inbound-hbone.ts";
import type { LiveConnection, PodContext, ProxyEnvironment } from "./pod-context.ts";

/** A listening socket with its role. The receiver owns it as soon as it is passed. */
export interface PassedListener {
  readonly role: ZdsListenerRole;
  readonly fd: number;
}

export interface PodProxyOptions {
  readonly environment: ProxyEnvironment;
  readonly uid: string;
  readonly info: WorkloadInfo;
  /** The pod's network namespace, which we close. Undefined for our own. */
  readonly namespaceFd: number | undefined;
  /** If empty, we open the sockets in the namespace. */
  readonly listeners: readonly PassedListener[];
}

/** If xDS does not know the pod by then, the pod's first connection fetches its certificate. */
const ownIdentityTimeoutMs = 300_000;
const tcpRoles = ["outbound", "inbound-plaintext", "inbound-hbone"] as const;

/** Serves one pod: its listeners, its connection pool and its connections. */
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
  #identity: Disposable | undefined;

  constructor(options: PodProxyOptions) {
    this.#options = options;
    this.uid = options.uid;
    this.info = options.info;
    this.#log = options.environment.log;
    const pool = new HbonePool({
      dial: hboneDialer(options.environment.certificates),
      clock: options.environment.clock,
    });
    this.#pod = {
      environment: options.environment,
      uid: options.uid,
      info: options.info,
      namespaceFd: options.namespaceFd,
      pool,
    };
    this.#inbound = new InboundHbone(this.#pod);
  }

  get state(): "serving" | "draining" | "closed" {
    return this.#state;
  }

  owns(connection: LiveConnection): boolean {
    return connection.pod === this.#pod;
  }

  /** Opens or takes over the listeners. If one fails, none stays open. */
  async start(): Promise<void> {
    this.#prefetchCertificate();
    const passed = this.#options.listeners;
    const wanted = passed.length > 0 ? passed : this.#ownListeners();
    this.#held = wanted;
    let taken = 0;
    try {
      for (const listener of wanted) {
        // The descriptor is ours even if this fails: the code that listens on it closes it.
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

  /** Stops accepting at once. Live connections continue, and peers are told to use another connection. */
  drain(): void {
    if (this.#state !== "serving") return;
    this.#state = "draining";
    this.#stopListening();
    this.#inbound.drain();
    this.#pod.environment.tracker.drain((connection) => this.owns(connection));
    this.#endIfIdle();
  }

  /** Ends everything now. */
  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#stopListening();
    this.#inbound.close();
    const { tracker } = this.#pod.environment;
    for (const connection of tracker.list())
      if (this.owns(connection.details)) connection.abort(new Error("the pod is no longer served here"));
    this.#pod.pool.close();
    this.#identity?.[Symbol.dispose]();
    if (this.#options.namespaceFd !== undefined) closeDescriptor(this.#options.namespaceFd);
  }

  /** The sockets that accept for this pod, for an agent that has lost them. */
  get descriptors(): { readonly namespaceFd: number | undefined; readonly listeners: readonly PassedListener[] } {
    return { namespaceFd: this.#options.namespaceFd, listeners: this.#state === "serving" ? this.#held : [] };
  }

  #stopListening(): void {
    for (const listener of this.#listeners) listener.close();
    this.#listeners = [];
  }

  async #listen({ role, fd }: PassedListener): Promise<{ close(): void }> {
    switch (role) {
      case "outbound":
      case "outbound/6":
        return await listenTcp({ fd }, (stream) => this.#track(serveOutbound(this.#pod, stream), "outbound"));
      case "inbound-plaintext":
      case "inbound-plaintext/6":
        return await listenTcp({ fd }, (stream) =>
          this.#track(serveInboundPlaintext(this.#pod, stream), "inbound passthrough"),
        );
      case "inbound-hbone":
      case "inbound-hbone/6":
        return await listenTcp({ fd }, (stream) => this.#track(this.#inbound.serve(stream), "inbound"));
      case "dns-udp":
      case "dns-udp/6":
        return await DnsListener.udp(this.#pod, fd, role === "dns-udp/6");
      case "dns-tcp":
      case "dns-tcp/6":
        return await DnsListener.tcp(this.#pod, fd);
    }
  }

  /** Counts open connections, to know when a draining pod is done. */
  #track(served: Promise<void>, component: string): void {
    this.#open += 1;
    served
      .catch((error: unknown) =>
        this.#log.error("a connection failed unexpectedly", { component, error: messageOf(error) }),
      )
      .finally(() => {
        this.#open -= 1;
        this.#endIfIdle();
      });
  }

  #endIfIdle(): void {
    if (this.#state === "draining" && this.#open === 0) this.close();
  }

  /** Without an agent that passes sockets, we open them, if necessary beside those of an older ztunnel. */
  #ownListeners(): readonly PassedListener[] {
    const { ports } = this.#pod.environment;
    const portOf = {
      outbound: ports.outbound,
      "inbound-plaintext": ports.inboundPlaintext,
      "inbound-hbone": ports.hbone,
    };
    const { namespaceFd } = this.#options;
    const made: PassedListener[] = [];
    const open = (role: ZdsListenerRole, make: () => number, required: boolean) => {
      try {
        made.push({ role, fd: make() });
      } catch (error) {
        if (required) {
          for (const { fd } of made) closeDescriptor(fd);
          throw error;
        }
        // Such as a namespace without IPv6.
        this.#log.debug("a listener is left out", { role, error: messageOf(error) });
      }
    };
    for (const role of tcpRoles) {
      const options = { port: portOf[role], transparent: true, reusePort: true };
      open(role, () => listenTcpInNamespace(namespaceFd, { address: "0.0.0.0", ...options }), true);
      open(`${role}/6`, () => listenTcpInNamespace(namespaceFd, { address: "::", ...options }), false);
    }
    const dns = { port: ports.dns, reusePort: true };
    open("dns-udp", () => bindUdpInNamespace(namespaceFd, { address: "127.0.0.1", ...dns }), false);
    open("dns-udp/6", () => bindUdpInNamespace(namespaceFd, { address: "::1", ...dns }), false);
    open("dns-tcp", () => listenTcpInNamespace(namespaceFd, { address: "127.0.0.1", ...dns }), false);
    open("dns-tcp/6", () => listenTcpInNamespace(namespaceFd, { address: "::1", ...dns }), false);
    return made;
  }

  /** Runs as soon as xDS knows the pod. */
  #prefetchCertificate(): void {
    const { state, clock, identities } = this.#pod.environment;
    void state.waitForPod(this.info, ownIdentityTimeoutMs, clock).then((workload) => {
      if (workload !== undefined && this.#state !== "closed")
        this.#identity = identities.use(workloadIdentity(workload));
    });
  }
}
