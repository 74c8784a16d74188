import { renameSync, writeFileSync } from "node:fs";
import { connect, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import type { LoadBalancerPort } from "../node/node-report.ts";
import type { ServiceUrl } from "./service-url.ts";

export interface LoadBalancerForwardsOptions {
  readonly stateDirectory: string;
  readonly log: Logger;
  readonly clock: Clock;
  /** Opens a listening socket on the host's loopback interface, at the port or the next free one. */
  readonly listen: (
    address: string,
    port: number,
  ) => Promise<{ readonly server: Server; readonly address: string; readonly port: number }>;
}

interface Forward {
  readonly target: LoadBalancerPort;
  /** The listening server, or undefined until the launcher has answered. */
  open: { readonly server: Server; readonly address: string; readonly port: number } | undefined;
  closed: boolean;
}

const urlsFile = "urls.json";
/** The pause before the supervisor repeats a failed write. A write fails, for example, if the disk is full. */
const rewriteAfterMs = 1000;
const firstFreePort = 1024;
/** The replacements for ports below 1024, which only root may bind on the host. They are easy to recognise. */
const readablePorts: Readonly<Record<number, number>> = { 80: 8080, 443: 8443 };

/**
 * Forwards each LoadBalancer port from a loopback address of the host. For example, 127.7.255.200:8080 goes to
 * 172.18.255.200:80.
 */
export class LoadBalancerForwards {
  readonly #options: LoadBalancerForwardsOptions;
  readonly #forwards = new Map<string, Forward>();
  readonly #byNode = new Map<string, readonly LoadBalancerPort[]>();
  #rewrite: Disposable | undefined;

  constructor(options: LoadBalancerForwardsOptions) {
    this.#options = options;
    this.#writeUrls();
  }

  /** Sets the ports that the node currently announces. */
  update(node: string, ports: readonly LoadBalancerPort[]): void {
    this.#byNode.set(node, ports);
    const wanted = new Map([...this.#byNode.values()].flat().map((port) => [keyOf(port), port]));
    for (const [key, forward] of this.#forwards) if (!wanted.has(key)) this.#close(key, forward);
    for (const [key, port] of wanted) if (!this.#forwards.has(key)) void this.#open(key, port);
    this.#publish();
  }

  async #open(key: string, target: LoadBalancerPort): Promise<void> {
    const forward: Forward = { target, open: undefined, closed: false };
    this.#forwards.set(key, forward);
    const [, , third = "0", fourth = "1"] = target.address.split(".");
    const port = target.port >= firstFreePort ? target.port : (readablePorts[target.port] ?? 10_000 + target.port);
    try {
      const open = await this.#options.listen(`127.7.${third}.${fourth}`, port);
      if (forward.closed) {
        open.server.close();
        return;
      }
      forward.open = open;
      open.server.on("connection", (socket) => splice(socket, target));
      this.#publish();
    } catch (error) {
      // Forget the failed forward, so that the node's next report tries again.
      if (!forward.closed) this.#forwards.delete(key);
      this.#options.log.warn("a service gets no loopback address", {
        service: target.service,
        port: target.port,
        error: messageOf(error),
      });
    }
  }

  #close(key: string, forward: Forward): void {
    forward.closed = true;
    forward.open?.server.close();
    this.#forwards.delete(key);
  }

  /** Writes the file with the addresses. A full disk must not end the lab, so a failed write is repeated. */
  #publish(): void {
    const { log, clock } = this.#options;
    this.#rewrite?.[Symbol.dispose]();
    this.#rewrite = undefined;
    try {
      this.#writeUrls();
    } catch (error) {
      log.warn("the services' addresses could not be written; trying again", { error: messageOf(error) });
      this.#rewrite = clock.after(rewriteAfterMs, () => this.#publish());
    }
  }

  #writeUrls(): void {
    const urls: ServiceUrl[] = [];
    for (const { target, open } of this.#forwards.values()) {
      if (open === undefined) continue;
      const scheme = target.port === 443 || target.portName.startsWith("https") ? "https" : "http";
      urls.push({
        ...target,
        url: `${scheme}://${open.address}:${open.port}`,
        loopbackAddress: open.address,
        loopbackPort: open.port,
      });
    }
    const path = join(this.#options.stateDirectory, urlsFile);
    writeFileSync(`${path}.new`, `${JSON.stringify(urls, undefined, 2)}\n`);
    renameSync(`${path}.new`, path);
  }
}

function keyOf(port: LoadBalancerPort): string {
  return `${port.service}|${port.address}|${port.port}`;
}

/**
 * Connects to the target and copies bytes in both directions. LoadBalancer addresses are reachable from here, because
 * the supervisor runs in the lab's host namespace.
 */
function splice(client: Socket, target: LoadBalancerPort): void {
  client.setNoDelay(true);
  const upstream = connect({ host: target.address, port: target.port, noDelay: true, allowHalfOpen: true });
  client.allowHalfOpen = true;
  const end = (): void => {
    client.destroy();
    upstream.destroy();
  };
  client.on("error", end);
  upstream.on("error", end);
  client.pipe(upstream);
  upstream.pipe(client);
}
