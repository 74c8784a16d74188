import { messageOf, rfc3339Micros, transientError, type Clock } from "../base/index.ts";
import { leaseKind, type Lease } from "../api/kubernetes/index.ts";
import { isKubeCode, type KubeClient } from "../kube/index.ts";
import { pollPauseMs } from "./readiness.ts";

export interface InstallLockOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** The name of the Lease. Installers with different names do not wait for each other. */
  readonly name: string;
  /** The namespace of the Lease: that of the installation, so control planes in other namespaces are unaffected. */
  readonly namespace: string;
  /** The identity of this installer, unique and readable: `user@host (pid 12)`. */
  readonly identity: string;
  /**
   * The identities of installers whose Lease has expired. All other Leases of these installers count as expired too.
   */
  readonly dead: Set<string>;
  /** Called at most once, if another installer holds the lock. */
  readonly onWait: (holder: string) => void;
  readonly timeoutMs: number;
}

const leaseSeconds = 15;
const renewMs = 5000;

/** Runs `work` while holding the lock. If another installer was killed, waits until its Lease expires. */
export async function withInstallLock(
  options: InstallLockOptions,
  signal: AbortSignal | undefined,
  work: () => Promise<void>,
): Promise<void> {
  await acquire(options, signal);
  const ended = new AbortController();
  const renewing = renew(options, ended.signal);
  try {
    await work();
  } finally {
    ended.abort();
    await renewing;
    await release(options);
  }
}

async function acquire(options: InstallLockOptions, signal: AbortSignal | undefined): Promise<void> {
  const { clock, timeoutMs, onWait } = options;
  const beganMs = clock.steadyMs();
  let seen: { readonly record: string; readonly atMs: number } | undefined;
  let hasReported = false;
  for (;;) {
    const held = await tryTake(
      options,
      seen !== undefined && clock.steadyMs() - seen.atMs > leaseSeconds * 1000 ? seen.record : undefined,
    );
    if (held === undefined) return;
    if (held.record !== seen?.record) seen = { record: held.record, atMs: clock.steadyMs() };
    if (held.holder !== "" && !hasReported) onWait(held.holder);
    hasReported ||= held.holder !== "";
    const waitedMs = clock.steadyMs() - beganMs;
    if (waitedMs > timeoutMs) {
      throw transientError(
        "install-busy",
        `${held.holder === "" ? "somebody else" : held.holder} has been installing in ${options.namespace} for more than ${timeoutMs / 1000} s`,
        {
          hint: `wait until it ends, or if it no longer runs: kubectl -n ${options.namespace} delete lease ${options.name}`,
        },
      );
    }
    // Another installer usually holds the lock for a few tenths of a second, so the first pauses are short.
    await clock.sleep(pollPauseMs(waitedMs), signal);
  }
}

/**
 * Tries to take the lock. Returns undefined on success, or the other holder with its record. A record is the text of
 * holder and renewal time. `expired` is a record that its holder did not renew in time.
 */
async function tryTake(
  { client, name, namespace, identity, clock, dead }: InstallLockOptions,
  expired: string | undefined,
): Promise<{ holder: string; record: string } | undefined> {
  const lease = await client.get(leaseKind, name, namespace);
  const now = rfc3339Micros(clock.nowMs());
  const spec = { holderIdentity: identity, leaseDurationSeconds: leaseSeconds, acquireTime: now, renewTime: now };
  const holder = lease?.spec?.holderIdentity ?? "";
  const record = JSON.stringify([holder, lease?.spec?.renewTime]);
  if (lease !== undefined && holder !== "" && record !== expired && !dead.has(holder)) return { holder, record };
  if (holder !== "") dead.add(holder);
  try {
    if (lease === undefined) await client.create(leaseKind, { metadata: { name, namespace }, spec });
    else await client.update(leaseKind, { ...lease, spec });
    return undefined;
  } catch (error) {
    // Another installer took the lock first.
    if (isKubeCode(error, "conflict") || isKubeCode(error, "already-exists")) return { holder: "", record: "" };
    throw error;
  }
}

async function renew(options: InstallLockOptions, signal: AbortSignal): Promise<void> {
  const { client, name, namespace, clock } = options;
  while (!signal.aborted) {
    await clock.sleep(renewMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    const renewTime = rfc3339Micros(clock.nowMs());
    // Ignore a failed renewal, because the next one comes before the Lease expires.
    await client
      .patchMerge(leaseKind, name, namespace, { spec: { renewTime } })
      .catch((error: unknown) => messageOf(error));
  }
}

async function release({ client, name, namespace, identity }: InstallLockOptions): Promise<void> {
  const lease: Lease | undefined = await client.get(leaseKind, name, namespace).catch(() => undefined);
  if (lease?.spec?.holderIdentity !== identity) return;
  // If this write fails, the next installer waits until the Lease expires.
  await client.update(leaseKind, { ...lease, spec: { ...lease.spec, holderIdentity: "" } }).catch(() => undefined);
}
