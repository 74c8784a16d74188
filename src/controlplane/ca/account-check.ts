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
 * Whether a cluster has the account. Undefined if no cluster is known to have it and one has not answered in time. The
 * first client's cluster is asked, and the others only if it does not have the account. `queued` delays a request until
 * the queue of its cluster has room.
 */
export async function accountExists(
  { namespace, serviceAccount }: ServiceAccountName,
  [first, ...others]: readonly KubeClient[],
  clock: Clock,
  queued: <Result>(client: KubeClient, question: () => Promise<Result>) => Promise<Result>,
): Promise<boolean | undefined> {
  const late = new AbortController();
  using _limit = clock.after(accountCheckMs, () => late.abort());
  const isLate = aborted(late.signal).then(() => undefined);
  const question = async (client: KubeClient): Promise<boolean | undefined> => {
    if (late.signal.aborted) return undefined;
    const answer = client.get(serviceAccountKind, serviceAccount, namespace).then(
      (account) => account !== undefined,
      () => undefined,
    );
    // When the time is up, the request must not keep its place in the queue.
    return await Promise.race([answer, isLate]);
  };
  const ask = async (client: KubeClient): Promise<boolean | undefined> =>
    await Promise.race([queued(client, async () => await question(client)).catch(() => undefined), isLate]);
  const found = first === undefined ? undefined : await ask(first);
  if (found === true || others.length === 0 || late.signal.aborted) return found;
  const answers = await Promise.all(others.map(ask));
  if (answers.includes(true)) return true;
  return found === undefined || answers.includes(undefined) ? undefined : false;
}
