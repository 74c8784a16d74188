import { AgingCache, type Clock } from "../../../base/index.ts";
import type { WebhookConfiguration } from "../../../api/kubernetes/index.ts";
import { engineId } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { formatAuthority } from "../../../wire/hbone/index.ts";
import { httpGet, isStatus } from "../http-get.ts";
import { PilotTokens } from "../pilot-tokens.ts";
import { answered, unreachable } from "./debug-faults.ts";
import { usualLimits, type SessionLimits } from "./debug-limits.ts";
import type { DebugCaller, DebugSession } from "./debug-session.ts";
import { Patience } from "./patience.ts";
import type { PilotPod } from "./pilot-pod.ts";
import { trustOf } from "./pilot-trust.ts";
import type { PilotTrust } from "./proven-socket.ts";

const discoveryPort = 15_012;
/**
 * The port of debug pages in plain text. Release 0.1.0 of Serin's pilots serves {@link openPage} only here, and to
 * everybody.
 */
const openPort = 8080;
const openPage = "/debug/serin/roots";
/** Only Serin's pilots serve paths that begin like this. Every release of them serves {@link serinPage}. */
const serinPages = "/debug/serin/";
const serinPage = "/debug/serin/proxies";
const maxPilots = 64;
/** The maximum number of remembered pages of one pilot. The engine requests fewer. */
const maxPages = 16;
/** The roots and names of a control plane are read again after this time. */
const trustMaxAgeMs = 10_000;
/**
 * The engine forgets after this time what it has learned about a pod's release, because a container may get another
 * image while its pod stays.
 */
const releaseMaxAgeMs = 300_000;
/** How long a caller waits for a page whose last answer was not late. */
const patienceMs = 2000;
/** How long a caller waits for the API server, which has the pilot's root and the token. */
const serverPatienceMs = 10_000;

export interface PilotDebugOptions {
  readonly clock: Clock;
  readonly injectors: () => readonly WebhookConfiguration[];
  readonly port?: number;
  readonly getOpen?: typeof httpGet;
  readonly limits?: SessionLimits & { readonly patienceMs: number };
}

/** The result of the read, or the pending read, so that callers share one. */
interface KeptTrust {
  readonly trust: Promise<PilotTrust>;
  untilMs: number;
}

interface KeptSession {
  readonly session: Promise<DebugSession>;
  readonly roots: string;
}

interface KnownPage {
  /** The pod does not serve the page, so the engine does not request it again until this time. */
  unknownUntilMs: number;
  /** Whether the page's last answer came late, after its callers had given up. */
  isSlow: boolean;
}

interface KnownPod {
  readonly pages: AgingCache<string, KnownPage>;
  /** The pod counts as one of Serin's pilots until this time. */
  serinUntilMs: number;
  session: KeptSession | undefined;
}

/**
 * Requests the debug pages of pilots, as istioctl does: over discovery with TLS, which pilots of every release serve.
 * The engine sends the token of a control plane's account only to a server that has proven by its certificate that it
 * belongs to that control plane.
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
   * The answer for a path that begins with `/debug/`. See {@link DebugSession.ask} for the errors. A silent pod delays
   * a caller only for a short time. If the answer comes later, the pod is alive but busy. Then later callers of this
   * page wait for the whole time limit of a request.
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
    // Moves the pod to the end of the cache, which drops the first entry.
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
      if (path !== openPage || !isStatus(error, 404) || !(await this.#isSerin(pilot, patience))) throw error;
      // Pilots of release 0.1.0 serve this page only in plain text, where nothing proves who answers. So the engine
      // sends no token there, and uses this port for no other pilot.
      return await getOpen(pilot.address, openPort, path).catch(() => Promise.reject(error));
    }
  }

  async #isSerin(pilot: PilotPod, patience: Patience): Promise<boolean> {
    if (this.#isKnownSerin(pilot)) return true;
    try {
      await this.#askKnown(pilot, serinPage, patience);
      return true;
    } catch (error) {
      if (isStatus(error, 404)) return false;
      throw error;
    }
  }

  /** Requests a page, unless the pod is known not to serve it. Pilots of upstream Istio serve no page of Serin's. */
  async #askKnown(pilot: PilotPod, path: string, patience: Patience): Promise<string> {
    const { clock, port = discoveryPort } = this.#options;
    if (!path.startsWith(serinPages)) return await this.#askProven(pilot, path, patience);
    if (this.#isUnknown(pilot, path)) throw answered(formatAuthority(pilot.address, port), "404");
    try {
      const text = await this.#askProven(pilot, path, patience);
      this.#podOf(pilot).serinUntilMs = clock.steadyMs() + releaseMaxAgeMs;
      return text;
    } catch (error) {
      if (isStatus(error, 404)) this.#pageOf(pilot, path).unknownUntilMs = clock.steadyMs() + releaseMaxAgeMs;
      throw error;
    }
  }

  async #askProven(pilot: PilotPod, path: string, patience: Patience): Promise<string> {
    const { namespace, serviceAccount } = pilot;
    try {
      return await this.#askOnce(pilot, path, patience);
    } catch (error) {
      if (!isStatus(error, 401)) throw error;
      // A token ends with its service account. A control plane that was removed and installed again has a new account,
      // so its pilots refuse the old token.
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

  /**
   * The identity and token for a request. Call this only after the session is open, because the session has proven who
   * gets the token.
   */
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
    // If the roots have changed, the former session may rest on a root that was withdrawn, so it is closed.
    if (kept?.roots !== roots) before?.close();
    else if (before?.isOpen === true) return before;
    const next = pod.session;
    if (next !== undefined && next !== kept && next.roots === roots) return await next.session;
    // Loaded on demand, because an engine without a control plane does not need it.
    const session = import("./debug-session.ts").then((door) =>
      door.DebugSession.open({ address: pilot.address, port }, trust, { limits, clock }),
    );
    pod.session = { session, roots };
    try {
      return await session;
    } catch (error) {
      // The root may have changed since the engine read it, so the next request reads it again.
      this.#trusts.delete(trustKey(pilot));
      throw error;
    }
  }

  async #trustOf(pilot: PilotPod, patience: Patience): Promise<PilotTrust> {
    const kept = this.#trusts.get(trustKey(pilot));
    const isNew = kept !== undefined && this.#options.clock.steadyMs() < kept.untilMs;
    return await patience.pausedFor(isNew ? kept.trust : this.#readTrust(pilot));
  }

  /** Reads the roots and names from the API server. The result's age counts from its arrival. A failure is not kept. */
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

function trustKey({ namespace, revision, rootConfigMap }: PilotPod): string {
  return `${namespace} ${revision} ${rootConfigMap}`;
}
