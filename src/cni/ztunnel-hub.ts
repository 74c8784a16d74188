import { chmodSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { messageOf, type Clock, type Logger } from "../base/index.ts";
import { SeqpacketServer, type SeqpacketConnection } from "../net/index.ts";
import { ZtunnelLink } from "./ztunnel-link.ts";

/**
 * How long a disconnected ztunnel counts as running, in milliseconds. A ztunnel that has crashed restarts within this
 * time, so its pods need not move.
 */
const restartGraceMs = 10_000;

export interface ZtunnelHubHandler {
  connected(link: ZtunnelLink): void;
  /** Called when the set of running revisions may have changed. */
  changed(): void;
}

/** The ztunnels of this node by revision: the connected ones, and those that may reconnect soon. */
export class ZtunnelHub {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #links: ZtunnelLink[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #leftAtMs = new Map<string, number>();
  #server: SeqpacketServer | undefined;
  #handler: ZtunnelHubHandler | undefined;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  listen(path: string, handler: ZtunnelHubHandler): void {
    mkdirSync(dirname(path), { recursive: true });
    this.#handler = handler;
    this.#server = SeqpacketServer.listen(path, (connection) => this.#accept(connection));
    chmodSync(path, 0o600);
  }

  get links(): readonly ZtunnelLink[] {
    return this.#links;
  }

  /** Resolves when the condition is true, or after the timeout. Checks the condition whenever a ztunnel connects. */
  async untilConnected(condition: () => boolean, timeoutMs: number): Promise<void> {
    if (condition()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if (condition()) resolve();
    };
    this.#waiting.add(look);
    const timer = this.#clock.after(timeoutMs, resolve);
    await promise;
    timer[Symbol.dispose]();
    this.#waiting.delete(look);
  }

  link(revision: string): ZtunnelLink | undefined {
    return this.#links.findLast((link) => link.revision === revision);
  }

  running(): string[] {
    const recent = [...this.#leftAtMs].filter(([, leftAtMs]) => this.#clock.steadyMs() - leftAtMs < restartGraceMs);
    return [...new Set([...this.#links.map((link) => link.revision), ...recent.map(([revision]) => revision)])];
  }

  /** Stops accepting connections, and disconnects all ztunnels. The ztunnels keep their pods. */
  close(): void {
    this.#server?.close();
    for (const link of this.#links) link.close();
  }

  #accept(connection: SeqpacketConnection): void {
    const link = new ZtunnelLink(connection, this.#log);
    link.hello.then(
      () => this.#onHello(link),
      (error: unknown) => this.#log.warn("a ztunnel left before its hello", { error: messageOf(error) }),
    );
  }

  #onHello(link: ZtunnelLink): void {
    this.#log.info("ztunnel connected", { revision: link.revision, acceptsListeners: link.acceptsListeners });
    this.#links.push(link);
    this.#leftAtMs.delete(link.revision);
    void link.closed.then(() => this.#onClose(link));
    this.#handler?.connected(link);
    for (const look of this.#waiting) look();
  }

  #onClose(link: ZtunnelLink): void {
    const index = this.#links.indexOf(link);
    if (index !== -1) this.#links.splice(index, 1);
    this.#log.info("ztunnel disconnected", { revision: link.revision });
    if (this.link(link.revision) === undefined) {
      this.#leftAtMs.set(link.revision, this.#clock.steadyMs());
      this.#clock.after(restartGraceMs + 1, () => this.#forget(link.revision));
    }
    this.#handler?.changed();
  }

  #forget(revision: string): void {
    const leftAtMs = this.#leftAtMs.get(revision);
    if (leftAtMs === undefined || this.#clock.steadyMs() - leftAtMs < restartGraceMs) return;
    this.#leftAtMs.delete(revision);
    this.#handler?.changed();
  }
}
