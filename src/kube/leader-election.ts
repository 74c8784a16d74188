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
  /** The Lease's name. */
  readonly name: string;
  /** The name of this candidate, which must be unique among the candidates. It is the pod's name. */
  readonly identity: string;
  /** The time without a renewal after which a holder has lost the lease. 15 s if absent. */
  readonly leaseDurationMs?: number;
  /**
   * The time without a renewal after which the holder itself gives up the lease. Must be less than the lease's
   * duration. 10 s if absent.
   */
  readonly renewDeadlineMs?: number;
  /**
   * How often a candidate reads the lease, and how soon a failed renewal is tried again, in milliseconds. 2 s if
   * absent.
   */
  readonly retryMs?: number;
  /** How often the holder renews the lease. {@link retryMs} if absent. */
  readonly renewMs?: number;
  /** Called when another process becomes the holder, with its identity. */
  readonly onFollow?: (holder: string) => void;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random?: Random;
}

/** How long a leader that ends waits for the answer to its last renewal before it releases the lease. */
const lateRenewalMs = 2_000;

/**
 * Elects one of several processes by a Lease, as client-go does. While the machines' clocks run at the same speed,
 * there are never two leaders.
 */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #log: Logger;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryMs: number;
  readonly #renewMs: number;
  /** The lease as this process last wrote it. As in client-go, it can be renewed without a read first. */
  #written: Lease | undefined;
  /** The newest version of the lease that this process has written. */
  #newestVersion: string | undefined;
  /** Ends the present term as leader. */
  #lose: (reason: string) => void = () => undefined;
  /**
   * The holder's record, and when this process last saw it change, by its own clock. The clocks of other machines are
   * not trusted.
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
   * Whether this process certainly still holds the lease. Call this before each write: a process that was suspended
   * notices the loss here, before its timers fire.
   */
  holds(): boolean {
    return this.#options.clock.steadyMs() - this.#renewedMs <= this.#renewDeadlineMs;
  }

  /**
   * Asks the server whether this process still holds the lease. This is stronger than {@link holds}, because the answer
   * also shows that nobody has restored the server's storage from a backup. Rejects if the server does not answer.
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
   * Calls `lead` each time that this process gets the lease, with a signal that aborts when the lease is lost. Releases
   * the lease at the end. Also aborts the signal if somebody has restored the server's storage from a backup, so that
   * the next term begins with the server's present state.
   */
  async run(signal: AbortSignal, lead: (leading: AbortSignal) => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      // The lease's duration counts from the time of the request. The answer may come so late that another process
      // already leads.
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
      // Limit the request to the rest of the lease's time. After that, other candidates may take the lease, even if the
      // server answers much later.
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
    // A renewal that is still in progress would take the released lease again, or make the release fail.
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
   * Renews the lease if no other client has written it since this process did. Returns false if another client has, or
   * if the server does not answer.
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
   * Creates, takes over or renews the lease. Returns false if another process holds it, or if the server does not
   * answer.
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
   * Remembers a lease that this process has written. If its version is older than the version before the request, etcd
   * was restored from a backup. The function then ends the term and returns false.
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

  /** Ends the term at once, because this process may have read data in it that the restored server no longer has. */
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

  /** Releases the lease, so that the next leader does not wait for its expiry. */
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
 * Whether a version of one object is older than another one. The server counts its writes, so versions only rise until
 * somebody restores its storage. Versions that are not numbers cannot be compared.
 */
function isOlderVersion(version: string | undefined, than: string | undefined): boolean {
  const isNumber = (text: string | undefined): text is string => text !== undefined && /^\d{1,20}$/.test(text);
  return isNumber(version) && isNumber(than) && BigInt(version) < BigInt(than);
}

/** The result of a promise that never rejects. False if the signal aborts first. */
async function unlessAborted(result: Promise<boolean>, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  using _abort = onAbort(signal, () => resolve(false));
  void result.then(resolve);
  return await promise;
}

export interface PodProcess {
  readonly client: Pick<KubeClient, "list">;
  /** The environment. Its variables POD_NAME and POD_NAMESPACE name the pod. */
  readonly env: Environment;
  readonly shutdown: ShutdownController;
  readonly log: Logger;
  readonly clock: Pick<Clock, "sleep">;
}

const ownPodLooks = 3;
const ownPodPauseMs = 1_000;

/**
 * Drains the process if its pod was deleted before the process could handle signals.
 *
 * The kernel drops a SIGTERM for the first process of a container if the process has no handler yet. Such a process
 * would serve until the end of its grace period, and might even become the leader. If the process may not read its own
 * pod, or gets no answer, this function does nothing.
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
