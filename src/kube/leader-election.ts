import { leaseKind, podKind, type Lease } from "../api/kubernetes/index.ts";
import {
  describeError,
  envString,
  onAbort,
  rfc3339Micros,
  systemRandom,
  type Clock,
  type Environment,
  type Logger,
  type Random,
  type ShutdownController,
} from "../base/index.ts";
import type { KubeClient } from "./client.ts";
import { isCode } from "./status-error.ts";

export interface LeaderElectionOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly name: string;
  /** The name of this candidate, which must be unique. It is usually the pod's name. */
  readonly identity: string;
  /** The time without a renewal after which other candidates may take the lease. The default is 15 s. */
  readonly leaseDurationMs?: number;
  /**
   * The time without a renewal after which the holder gives up the lease. It must be less than the lease's duration.
   * The default is 10 s.
   */
  readonly renewDeadlineMs?: number;
  /** The pause before a candidate reads the lease again, or retries a failed renewal. The default is 2 s. */
  readonly retryMs?: number;
  /** The pause between renewals of the holder. The default is {@link retryMs}. */
  readonly renewMs?: number;
  /** Called with the holder's identity when another process is or becomes the holder. */
  readonly onFollow?: (holder: string) => void;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random?: Random;
}

/** How long an ending leader waits for its last renewal before it releases the lease. */
const lateRenewalMs = 2_000;

/**
 * Elects a leader among processes by a Lease, as client-go does. There are never two leaders, as long as the machines'
 * clocks run at the same speed.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #log: Logger;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryMs: number;
  readonly #renewMs: number;
  /** The lease as this process last wrote it. As in client-go, it is renewed without reading it first. */
  #written: Lease | undefined;
  /** The version of the lease that this process last wrote. */
  #newestVersion: string | undefined;
  #lose: (reason: string) => void = () => undefined;
  /**
   * The holder and renewal time of the lease, and when this process last saw them change, by its own clock. The clocks
   * of other machines are not trusted.
   */
  #seen = "";
  #seenAtMs = 0;
  #followed = "";
  #renewedMs = Number.NEGATIVE_INFINITY;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#log = options.log.scoped("leader-election");
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryMs = options.retryMs ?? 2_000;
    this.#renewMs = options.renewMs ?? this.#retryMs;
  }

  /**
   * Whether this process certainly still holds the lease. Call this before each write: a process that was suspended may
   * not have noticed the loss yet, because its timers have not fired.
   */
  holds(): boolean {
    return this.#options.clock.steadyMs() - this.#renewedMs <= this.#renewDeadlineMs;
  }

  /**
   * Asks the server whether this process still holds the lease. Unlike {@link holds}, this also notices that the
   * server's storage was restored from a backup. Rejects if the server does not answer.
   */
  async confirms(): Promise<boolean> {
    const { client, namespace, name, identity } = this.#options;
    const writtenBefore = this.#newestVersion;
    const lease = await client.get(leaseKind, name, namespace);
    if (lease === undefined) return false;
    if (isOlderVersion(lease.metadata.resourceVersion, writtenBefore)) this.#noteRestore();
    return lease.spec?.holderIdentity === identity && this.holds();
  }

  /**
   * Calls `lead` each time that this process gets the lease. Its signal aborts when the lease is lost, when the
   * server's storage was restored from a backup, and when `signal` aborts. Releases the lease when `lead` has ended.
   */
  async run(signal: AbortSignal, lead: (leading: AbortSignal) => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      // The lease counts from the time of the request. If the response comes too late, another process may already
      // lead.
      const requestedMs = this.#options.clock.steadyMs();
      const isOurs = await this.#tryHold();
      if (isOurs) this.#renewedMs = requestedMs;
      if (isOurs && this.holds()) await this.#term(signal, lead);
      else await this.#pause(this.#retryMs, signal);
    }
  }

  async #term(signal: AbortSignal, lead: (leading: AbortSignal) => Promise<void>): Promise<void> {
    const { name, identity, clock } = this.#options;
    this.#log.info("leading", { lease: name, identity });
    const lost = new AbortController();
    const leading = AbortSignal.any([signal, lost.signal]);
    const work = lead(leading).catch((error: unknown) => {
      this.#log.error("the leader's work failed", { lease: name, error: describeError(error) });
      lost.abort(error);
    });
    const lose = (reason = "it could not be renewed"): void => {
      if (leading.aborted) return;
      this.#log.warn("the lease is lost", { lease: name, identity, reason });
      lost.abort(new Error(`the lease ${name} is lost: ${reason}`));
    };
    this.#lose = lose;
    let pauseMs = this.#renewMs;
    let renewal = Promise.resolve(true);
    while (!leading.aborted) {
      await this.#pause(pauseMs, leading);
      if (leading.aborted) break;
      const requestedMs = clock.steadyMs();
      const leftMs = this.#renewedMs + this.#renewDeadlineMs - requestedMs;
      // Limit the request to the rest of the lease's time. Afterwards, other candidates may take the lease, even if the
      // server responds later.
      using _deadline = clock.after(Math.max(0, leftMs), lose);
      renewal = this.#renewOrTake(leading);
      const renewed = await unlessAborted(renewal, leading);
      pauseMs = renewed ? this.#renewMs : this.#retryMs;
      if (renewed) this.#renewedMs = requestedMs;
      else if (!this.holds()) lose();
    }
    this.#lose = () => undefined;
    await work;
    this.#renewedMs = Number.NEGATIVE_INFINITY;
    // A renewal that is still in progress could take the released lease again, or make the release fail.
    await this.#ended(renewal);
    await this.#release();
  }

  async #ended(renewal: Promise<boolean>): Promise<void> {
    const ended = new AbortController();
    const limit = this.#options.clock.sleep(lateRenewalMs, ended.signal).catch(() => undefined);
    await Promise.race([renewal, limit]);
    ended.abort();
  }

  async #renewOrTake(leading: AbortSignal): Promise<boolean> {
    return (await this.#renew()) || (!leading.aborted && (await this.#tryHold(leading)));
  }

  /**
   * Renews the lease without reading it. Returns false if another client has written the lease, or if the server does
   * not answer.
   */
  async #renew(): Promise<boolean> {
    const { client, name, clock } = this.#options;
    const lease = this.#written;
    const writtenBefore = this.#newestVersion;
    this.#written = undefined;
    if (lease === undefined) return false;
    try {
      const spec = { ...lease.spec, renewTime: rfc3339Micros(clock.nowMs()) };
      return this.#keep(await client.update(leaseKind, { ...lease, spec }), writtenBefore);
    } catch (error) {
      this.#log.debug("the lease has to be read before its renewal", { lease: name, error: describeError(error) });
      return false;
    }
  }

  /**
   * Creates, takes over or renews the lease, after reading it. Returns false if another process holds it, or if the
   * server does not answer.
   */
  async #tryHold(leading?: AbortSignal): Promise<boolean> {
    const { client, namespace, name, identity, clock } = this.#options;
    let writtenBefore = this.#newestVersion;
    try {
      const lease = await client.get(leaseKind, name, namespace);
      if (leading?.aborted === true) return false;
      const now = rfc3339Micros(clock.nowMs());
      if (lease === undefined)
        return this.#keep(
          await client.create(leaseKind, { metadata: { name, namespace }, spec: this.#spec(now, now, 0) }),
          writtenBefore,
        );
      if (isOlderVersion(lease.metadata.resourceVersion, writtenBefore)) {
        this.#noteRestore();
        if (leading !== undefined) return false;
        writtenBefore = undefined;
      }
      const spec = lease.spec ?? {};
      const held = spec.holderIdentity === identity;
      if (!held && !this.#expired(spec)) {
        this.#follow(spec.holderIdentity ?? "");
        return false;
      }
      const transitions = (spec.leaseTransitions ?? 0) + (held ? 0 : 1);
      return this.#keep(
        await client.update(leaseKind, {
          ...lease,
          spec: this.#spec(held ? (spec.acquireTime ?? now) : now, now, transitions),
        }),
        writtenBefore,
      );
    } catch (error) {
      this.#log.debug("the lease cannot be taken", { lease: name, error: describeError(error) });
      return false;
    }
  }

  /**
   * Stores the lease that this process has written. If its version is lower than before, the server's storage was
   * restored from a backup: then ends the term and returns false.
   */
  #keep(lease: Lease, writtenBefore: string | undefined): boolean {
    const { resourceVersion } = lease.metadata;
    if (isOlderVersion(resourceVersion, writtenBefore)) {
      this.#noteRestore();
      return false;
    }
    this.#written = lease;
    this.#newestVersion = resourceVersion;
    return true;
  }

  /** Ends the term, because this process may have read data that the restored server no longer has. */
  #noteRestore(): void {
    this.#newestVersion = undefined;
    this.#written = undefined;
    this.#renewedMs = Number.NEGATIVE_INFINITY;
    this.#lose("the storage of the API server was restored from a backup, so the work begins anew");
  }

  #follow(holder: string): void {
    if (holder === this.#followed) return;
    this.#followed = holder;
    this.#options.onFollow?.(holder);
  }

  #expired(spec: NonNullable<Lease["spec"]>): boolean {
    const { clock } = this.#options;
    if ((spec.holderIdentity ?? "") === "") return true;
    const record = JSON.stringify([spec.holderIdentity, spec.renewTime]);
    if (record !== this.#seen) {
      this.#seen = record;
      this.#seenAtMs = clock.steadyMs();
    }
    const durationMs =
      spec.leaseDurationSeconds === undefined ? this.#leaseDurationMs : spec.leaseDurationSeconds * 1000;
    return clock.steadyMs() - this.#seenAtMs > durationMs;
  }

  #spec(acquireTime: string, renewTime: string, leaseTransitions: number): NonNullable<Lease["spec"]> {
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#leaseDurationMs / 1000),
      acquireTime,
      renewTime,
      leaseTransitions,
    };
  }

  /** Releases the lease, so that the next leader need not wait until it expires. */
  async #release(): Promise<void> {
    const { client, namespace, name, identity } = this.#options;
    try {
      const lease = await client.get(leaseKind, name, namespace);
      if (lease?.spec?.holderIdentity === identity)
        await client.update(leaseKind, {
          ...lease,
          spec: { ...lease.spec, holderIdentity: "", leaseDurationSeconds: 1 },
        });
    } catch (error) {
      this.#log.debug("the lease could not be released", { lease: name, error: describeError(error) });
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { clock, random = systemRandom } = this.#options;
    await clock.sleep(ms * (0.8 + 0.4 * random()), signal).catch(() => undefined);
  }
}

/**
 * Whether one version of an object is older than another. Versions rise with each write, until somebody restores the
 * server's storage. Returns false if a version is not a number.
 */
function isOlderVersion(version: string | undefined, than: string | undefined): boolean {
  const isNumber = (text: string | undefined): text is string => text !== undefined && /^\d{1,20}$/.test(text);
  return isNumber(version) && isNumber(than) && BigInt(version) < BigInt(than);
}

/** Returns the result of a promise that never rejects, or false if the signal aborts first. */
async function unlessAborted(result: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  using _abort = onAbort(signal, () => resolve(false));
  void result.then(resolve);
  return await promise;
}

export interface PodProcess {
  readonly client: Pick<KubeClient, "list">;
  /** The environment. POD_NAME and POD_NAMESPACE name the pod. */
  readonly env: Environment;
  readonly shutdown: ShutdownController;
  readonly log: Logger;
  readonly clock: Pick<Clock, "sleep">;
}

const ownPodLooks = 3;
const ownPodPauseMs = 1_000;

/**
 * Drains this process if its pod is already being deleted.
 *
 * The kernel discards a SIGTERM for the first process of a container until the process has a handler. Such a process
 * would serve until the end of its grace period, and might even become the leader. Does nothing if the process may not
 * read its own pod, or gets no response.
 */
export async function drainDeletedPod(own: PodProcess): Promise<void> {
  const { shutdown, log } = own;
  if (!(await isBeingDeleted(own)) || shutdown.drain.aborted) return;
  log.info("ends, because its pod was deleted while it started");
  shutdown.drainEarly("the pod is being deleted");
}

async function isBeingDeleted({ client, env, shutdown, log, clock }: PodProcess): Promise<boolean> {
  const [name, namespace] = [envString(env, "POD_NAME", ""), envString(env, "POD_NAMESPACE", "")];
  if (name === "" || namespace === "") return false;
  for (let look = 1; look <= ownPodLooks && !shutdown.drain.aborted; look += 1) {
    try {
      const { items } = await client.list(podKind, { namespace, fieldSelector: `metadata.name=${name}` });
      return items.some(({ metadata }) => metadata.deletionTimestamp !== undefined);
    } catch (error) {
      log.debug("cannot read its own pod", { pod: `${namespace}/${name}`, error: describeError(error) });
      if (isCode(error, "forbidden")) return false;
      await clock.sleep(ownPodPauseMs, shutdown.drain).catch(() => undefined);
    }
  }
  return false;
}
