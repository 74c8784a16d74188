import { AgingCache, SerinError, type Clock } from "../../../base/index.ts";
import type { WebhookConfiguration } from "../../../api/kubernetes/index.ts";
import { engineId } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { formatAuthority } from "../../../wire/hbone/index.ts";
import { httpGet } from "../http-get.ts";
import { PilotTokens } from "../pilot-tokens.ts";
import { answered, unreachable } from "./debug-faults.ts";
import { usualLimits, type SessionLimits } from "./debug-limits.ts";
import type { DebugCaller, DebugSession } from "./debug-session.ts";
import { Patience } from "./patience.ts";
import type { PilotPod } from "./pilot-pod.ts";
import { trustOf } from "./pilot-trust.ts";
import type { PilotTrust } from "./proven-socket.ts";

/** The port of discovery over TLS. */
const discoveryPort = 15_012;
/** The port of debug pages in plain text, and the page that pilots of release 0.1.0 serve only there, to everybody. */
const openPort = 8080;
const openPage = "/debug/serin/roots";
/** Only Serin's pilots serve pages below this, and all of their releases serve this one. */
const serinPages = "/debug/serin/";
const serinPage = "/debug/serin/proxies";
const maxPilots = 64;
/** More pages than the engine asks one pilot for. */
const maxPages = 16;
/** How long the roots and names of a control plane are used before they are read again. */
const trustMaxAgeMs = 10_000;
/** A container may get another image in its pod, so what its pages tell of its release is found out again. */
const releaseMaxAgeMs = 300_000;
/** How long a caller waits for a page that did not come late before. */
const patienceMs = 2000;
/** How long a caller waits for the API server, which knows the pilot's root and issues the token. */
const serverPatienceMs = 10_000;

export interface PilotDebugOptions {
  readonly clock: Clock;
  readonly injectors: () => readonly WebhookConfiguration[];
  readonly port?: number;
  readonly getOpen?: typeof httpGet;
  readonly limits?: SessionLimits & { readonly patienceMs: number };
}

/** The answer of the API server, or the question that is still open, so that no second one is asked meanwhile. */
interface KeptTrust {
  readonly trust: Promise<PilotTrust>;
  untilMs: number;
}

interface KeptSession {
  readonly session: Promise<DebugSession>;
  readonly roots: string;
}

/** What the engine knows about a page of a pilot. */
interface KnownPage {
  /** Until when the pod is not asked for the page, because it does not know it. */
  unknownUntilMs: number;
  /** Whether the page's last answer came after the callers had given up. */
  isSlow: boolean;
}

/** What the engine knows about a pod. */
interface KnownPod {
  readonly pages: AgingCache<string, KnownPage>;
  /** Until when it counts as a pilot of Serin. */
  serinUntilMs: number;
  session: KeptSession | undefined;
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
  readonly #trusts = new AgingCache<string, KeptTrust>(maxPilots);
  readonly #pods = new AgingCache<string, KnownPod>(maxPilots);

  constructor(client: KubeClient, options: PilotDebugOptions) {
    this.#client = client;
    this.#options = options;
    this.#tokens = new PilotTokens(client, options.clock);
  }

  /**
   * The answer for a path that begins with `/debug/`. For errors see {@link DebugSession.ask}. A silent pod delays a
   * caller for a short time only. If its answer comes later, the pod is alive but busy, and next time callers of this
   * page wait for as long as a question may take.
   */
  async ask(pilot: PilotPod, path: string): Promise<string> {
    const { clock, port = discoveryPort, limits = { ...usualLimits, patienceMs } } = this.#options;
    const page = this.#pageOf(pilot, path);
    const waitMs = limits.patienceMs + (page.isSlow ? limits.silenceMs : 0);
    const late = Promise.withResolvers<never>();
    const patience = new Patience(clock, { podMs: waitMs, serverMs: serverPatienceMs }, () =>
      late.reject(unreachable(`${formatAuthority(pilot.address, port)} has not answered for ${waitMs} ms`)),
    );
    const answer = this.#answer(pilot, path, patience);
    answer.then(
      () => (page.isSlow = patience.spentMs >= limits.patienceMs),
      () => (page.isSlow = false),
    );
    return await Promise.race([answer, late.promise]).finally(() => patience[Symbol.dispose]());
  }

  #podOf({ namespace, name, address }: PilotPod): KnownPod {
    const key = `${namespace}/${name} ${address}`;
    const known = this.#pods.get(key) ?? {
      pages: new AgingCache<string, KnownPage>(maxPages),
      serinUntilMs: Number.NEGATIVE_INFINITY,
      session: undefined,
    };
    // A pod that is asked again is the youngest.
    this.#pods.set(key, known);
    return known;
  }

  #pageOf(pilot: PilotPod, path: string): KnownPage {
    const { pages } = this.#podOf(pilot);
    const name = path.replace(/\?.*$/s, "");
    const known = pages.get(name) ?? { unknownUntilMs: Number.NEGATIVE_INFINITY, isSlow: false };
    pages.set(name, known);
    return known;
  }

  /** Whether the pod is known not to serve a page, so that a question for it would reach nobody. */
  lacks(pilot: PilotPod, path: string): boolean {
    if (!path.startsWith(serinPages) || !this.#isUnknown(pilot, path)) return false;
    return path !== openPage || (!this.#isKnownSerin(pilot) && this.#isUnknown(pilot, serinPage));
  }

  #isUnknown(pilot: PilotPod, path: string): boolean {
    return this.#options.clock.steadyMs() < this.#pageOf(pilot, path).unknownUntilMs;
  }

  #isKnownSerin(pilot: PilotPod): boolean {
    return this.#options.clock.steadyMs() < this.#podOf(pilot).serinUntilMs;
  }

  async #answer(pilot: PilotPod, path: string, patience: Patience): Promise<string> {
    const { getOpen = httpGet } = this.#options;
    try {
      return await this.#askKnown(pilot, path, patience);
    } catch (error) {
      if (path !== openPage || !isStatus(error, "404") || !(await this.#isSerin(pilot, patience))) throw error;
      // Pilots of release 0.1.0 have this page in plain text only. There, nothing proves who answers. So the engine
      // sends no token, and asks no other pilot this way.
      return await getOpen(pilot.address, openPort, path).catch(() => Promise.reject(error));
    }
  }

  /** Whether the pod has proven to be a pilot of Serin. */
  async #isSerin(pilot: PilotPod, patience: Patience): Promise<boolean> {
    if (this.#isKnownSerin(pilot)) return true;
    try {
      await this.#askKnown(pilot, serinPage, patience);
      return true;
    } catch (error) {
      if (isStatus(error, "404")) return false;
      throw error;
    }
  }

  /** Leaves out questions for pages that the pod does not know. Pilots of upstream Istio know none of Serin's. */
  async #askKnown(pilot: PilotPod, path: string, patience: Patience): Promise<string> {
    const { clock, port = discoveryPort } = this.#options;
    if (!path.startsWith(serinPages)) return await this.#askProven(pilot, path, patience);
    if (this.#isUnknown(pilot, path)) throw answered(formatAuthority(pilot.address, port), "404");
    try {
      const text = await this.#askProven(pilot, path, patience);
      this.#podOf(pilot).serinUntilMs = clock.steadyMs() + releaseMaxAgeMs;
      return text;
    } catch (error) {
      if (isStatus(error, "404")) this.#pageOf(pilot, path).unknownUntilMs = clock.steadyMs() + releaseMaxAgeMs;
      throw error;
    }
  }

  async #askProven(pilot: PilotPod, path: string, patience: Patience): Promise<string> {
    const { namespace, serviceAccount } = pilot;
    try {
      return await this.#askOnce(pilot, path, patience);
    } catch (error) {
      if (!isStatus(error, "401")) throw error;
      // A token becomes invalid with its service account, and a control plane that was removed and installed again has
      // a new account.
      this.#tokens.forget(namespace, serviceAccount);
      return await this.#askOnce(pilot, path, patience);
    }
  }

  async #askOnce(pilot: PilotPod, path: string, patience: Patience): Promise<string> {
    const page = path.slice("/debug/".length);
    const session = await this.#sessionOf(pilot, patience);
    const text = await session.ask(page, await this.#callerOf(pilot, patience), true);
    if (text !== undefined) return text;
    const next = await this.#sessionOf(pilot, patience);
    return await next.ask(page, await this.#callerOf(pilot, patience), false);
  }

  /** Only for a pilot with a session, because a session proves who gets the token. */
  async #callerOf({ namespace, serviceAccount }: PilotPod, patience: Patience): Promise<DebugCaller> {
    const token = await patience.pausedFor(this.#tokens.of(namespace, serviceAccount));
    return { id: engineId(namespace), namespace, serviceAccount, token };
  }

  async #sessionOf(pilot: PilotPod, patience: Patience): Promise<DebugSession> {
    const { clock, port = discoveryPort, limits = usualLimits } = this.#options;
    const trust = await this.#trustOf(pilot, patience);
    const roots = trust.roots.join("");
    const pod = this.#podOf(pilot);
    const kept = pod.session;
    const before = await kept?.session.catch(() => undefined);
    // The roots that proved the former session may have been withdrawn.
    if (kept?.roots !== roots) before?.close();
    else if (before?.isOpen === true) return before;
    const next = pod.session;
    if (next !== undefined && next !== kept && next.roots === roots) return await next.session;
    // Without a control plane, the engine does not need what this loads.
    const session = import("./debug-session.ts").then((door) =>
      door.DebugSession.open({ address: pilot.address, port }, trust, { limits, clock }),
    );
    pod.session = { session, roots };
    try {
      return await session;
    } catch (error) {
      // The root may have changed since it was read.
      this.#trusts.delete(trustKey(pilot));
      throw error;
    }
  }

  async #trustOf(pilot: PilotPod, patience: Patience): Promise<PilotTrust> {
    const kept = this.#trusts.get(trustKey(pilot));
    const isNew = kept !== undefined && this.#options.clock.steadyMs() < kept.untilMs;
    return await patience.pausedFor(isNew ? kept.trust : this.#readTrust(pilot));
  }

  /** Asks the API server. Its answer is kept from the time when it comes. */
  #readTrust(pilot: PilotPod): Promise<PilotTrust> {
    const { clock, injectors } = this.#options;
    const key = trustKey(pilot);
    const trust = trustOf(this.#client, injectors(), pilot);
    const kept: KeptTrust = { trust, untilMs: Number.POSITIVE_INFINITY };
    this.#trusts.set(key, kept);
    trust.then(
      () => (kept.untilMs = clock.steadyMs() + trustMaxAgeMs),
      () => (kept.untilMs = Number.NEGATIVE_INFINITY),
    );
    return trust;
  }
}

function isStatus(error: unknown, status: string): boolean {
  return error instanceof SerinError && error.code === "http-status" && error.reason === status;
}

function trustKey({ namespace, revision, rootConfigMap }: PilotPod): string {
  return `${namespace} ${revision} ${rootConfigMap}`;
}
