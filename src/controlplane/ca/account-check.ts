import { serviceAccountKind } from "../../api/kubernetes/index.ts";
import { aborted, type Clock } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";

export interface ServiceAccountName {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** How long a caller with a certificate waits for the check of its account. Clients give up after 10 s. */
const accountCheckMs = 2000;

/**
 * Whether a cluster has the account. Undefined if none is known to have it, and one did not answer in time. Asks the
 * first client, and the others only if that cluster does not have it. `queued` delays a question until its turn.
 */
export async function accountExists(
  { namespace, serviceAccount }: ServiceAccountName,
  [first, ...others]: readonly KubeClient[],
  clock: Clock,
  queued: <Result>(question: () => Promise<Result>) => Promise<Result>,
): Promise<boolean | undefined> {
  const late = new AbortController();
  using _limit = clock.after(accountCheckMs, () => late.abort());
  const isLate = aborted(late.signal).then(() => undefined);
  const ask = async (client: KubeClient | undefined): Promise<boolean | undefined> =>
    await (client?.get(serviceAccountKind, serviceAccount, namespace) ?? Promise.reject(new Error("no cluster"))).then(
      (account) => account !== undefined,
      () => undefined,
    );
  const answer = queued(async () => {
    if (late.signal.aborted) return undefined;
    // A late answer must not keep its place in the queue.
    const found = await Promise.race([ask(first), isLate]);
    if (found === true || others.length === 0 || late.signal.aborted) return found;
    const answers = await Promise.race([Promise.all(others.map(ask)), isLate]);
    if (answers?.includes(true) === true) return true;
    return found === undefined || answers === undefined || answers.includes(undefined) ? undefined : false;
  });
  return await Promise.race([answer.catch(() => undefined), isLate]);
}
