import { BoundedCache, SerinError, type Clock } from "../../../base/index.ts";
import type { WebhookConfiguration } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { httpGet } from "../http-get.ts";
import { PilotTokens } from "../pilot-tokens.ts";
import type { DebugSession, PilotTrust } from "./debug-session.ts";
import type { PilotPod } from "./pilot-pod.ts";
import { trustOf } from "./pilot-trust.ts";

/** The port of discovery over TLS. */
const discoveryPort = 15_012;
/** The port of debug pages in plain text, and the page that pilots of release 0.1.0 serve only there, to everybody. */
const openPort = 8080;
const openPage = "/debug/serin/roots";
const maxPilots = 64;
/** How long the roots and names of a control plane are used before they are read again. */
const trustMaxAgeMs = 10_000;
/** The name of the engine in its requests. A pilot of upstream Istio lists it as a proxy while it asks. */
const engineName = "serin-rollout";

export interface PilotDebugOptions {
  readonly clock: Clock;
  readonly injectors: () => readonly WebhookConfiguration[];
  readonly port?: number;
  readonly getOpen?: typeof httpGet;
}

interface KeptTrust {
  readonly trust: PilotTrust;
  readonly untilMs: number;
}

interface KeptSession {
  readonly session: Promise<DebugSession>;
  readonly roots: string;
}

/** The id by which pilots of upstream Istio list the engine. */
export function engineId(namespace: string): string {
  return `${engineName}.${namespace}`;
}

/**
 * Asks pilots for their debug pages, as istioctl does: over discovery with TLS, which pilots of every release serve.
 * The token of a control plane's account leaves the engine only for a server that has proven to be of that control
 * plane.
 */
export class PilotDebug {
  readonly #client: KubeClient;
  readonly #options: PilotDebugOptions;
  readonly #tokens: PilotTokens;
  readonly #trusts = new BoundedCache<string, KeptTrust>(maxPilots);
  readonly #sessions = new BoundedCache<string, KeptSession>(maxPilots);

  constructor(client: KubeClient, options: PilotDebugOptions) {
    this.#client = client;
    this.#options = options;
    this.#tokens = new PilotTokens(client, options.clock);
  }

  /** The answer for a path that begins with `/debug/`. For errors see {@link DebugSession.ask}. */
  async ask(pilot: PilotPod, path: string): Promise<string> {
    const { getOpen = httpGet } = this.#options;
    try {
      return await this.#askProven(pilot, path);
    } catch (error) {
      if (path !== openPage || !isStatus(error, "404")) throw error;
      // Without a token, so nobody gains anything by answering. Pilots of other releases refuse it.
      return await getOpen(pilot.address, openPort, path).catch(() => Promise.reject(error));
    }
  }

  async #askProven(pilot: PilotPod, path: string): Promise<string> {
    const { namespace, serviceAccount } = pilot;
    try {
      return await this.#askOnce(pilot, path);
    } catch (error) {
      if (!isStatus(error, "401")) throw error;
      // A token becomes invalid with its service account, and a control plane that was removed and installed again has
      // a new account.
      this.#tokens.forget(namespace, serviceAccount);
      return await this.#askOnce(pilot, path);
    }
  }

  async #askOnce(pilot: PilotPod, path: string): Promise<string> {
    const { namespace, serviceAccount } = pilot;
    const session = await this.#sessionOf(pilot);
    const token = await this.#tokens.of(namespace, serviceAccount);
    const caller = { id: engineId(namespace), namespace, serviceAccount, token };
    return await session.ask(path.slice("/debug/".length), caller);
  }

  async #sessionOf(pilot: PilotPod): Promise<DebugSession> {
    const { port = discoveryPort } = this.#options;
    const key = `${pilot.namespace}/${pilot.name} ${pilot.address}`;
    const trust = await this.#trustOf(pilot);
    const roots = trust.roots.join("");
    const kept = this.#sessions.get(key);
    const before = await kept?.session.catch(() => undefined);
    // The roots that proved the former session may have been withdrawn.
    if (kept?.roots !== roots) before?.close();
    else if (before?.isOpen === true) return before;
    const next = this.#sessions.get(key);
    if (next !== undefined && next !== kept && next.roots === roots) return await next.session;
    // Without a control plane, the engine does not need what this loads.
    const session = import("./debug-session.ts").then((door) => door.DebugSession.open(pilot.address, port, trust));
    this.#sessions.set(key, { session, roots });
    try {
      return await session;
    } catch (error) {
      // The root may have changed since it was read.
      this.#trusts.delete(trustKey(pilot));
      throw error;
    }
  }

  async #trustOf(pilot: PilotPod): Promise<PilotTrust> {
    const { clock, injectors } = this.#options;
    const key = trustKey(pilot);
    const kept = this.#trusts.get(key);
    if (kept !== undefined && clock.steadyMs() < kept.untilMs) return kept.trust;
    const trust = await trustOf(this.#client, injectors(), pilot);
    this.#trusts.set(key, { trust, untilMs: clock.steadyMs() + trustMaxAgeMs });
    return trust;
  }
}

function isStatus(error: unknown, status: string): boolean {
  return error instanceof SerinError && error.code === "http-status" && error.reason === status;
}

function trustKey({ namespace, revision }: PilotPod): string {
  return `${namespace} ${revision}`;
}
