import { daemonSetKind, namespaceKind } from "../api/kubernetes/index.ts";
import { messageOf, type Clock, type Logger } from "../base/index.ts";
import { isKubeCode, type KubeClient } from "../kube/index.ts";

/**
 * Why an agent ends. `restarted`: another one takes its place. `removed`: its DaemonSet was deleted while a ztunnel
 * stays. `uninstalled`: the mesh is removed too.
 */
export type AgentEnd = "restarted" | "removed" | "uninstalled";

export interface AgentEndOptions {
  readonly client: Pick<KubeClient, "get">;
  /** The namespace of the agent and of its ztunnels. */
  readonly namespace: string;
  readonly daemonSet: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Several DaemonSets may be deleted one after another, so wait before checking again. */
const secondLookMs = 1_000;

/**
 * Asks the API server why the agent ends. Only a deletion in the foreground shows that the mesh is uninstalled, because
 * the DaemonSet then still exists. A deletion in the background may also be a `kubectl delete`, perhaps by mistake or
 * before a new installation. Pods then stay with their ztunnels, because without them no policy would be enforced.
 */
export async function agentEnd(options: AgentEndOptions, ztunnels: readonly string[]): Promise<AgentEnd> {
  const { client, namespace, daemonSet, clock, log } = options;
  try {
    const own = await client.get(daemonSetKind, daemonSet, namespace);
    if (own?.metadata.deletionTimestamp !== undefined || (await isEnding(options))) return "uninstalled";
    if (own !== undefined) return "restarted";
    if (!(await oneStays(options, ztunnels))) return "uninstalled";
    await clock.sleep(secondLookMs);
    return (await oneStays(options, ztunnels)) ? "removed" : "uninstalled";
  } catch (error) {
    // An uninstallation also removes the agent's account and rights. An upgrade never does.
    if (isKubeCode(error, "forbidden") || isKubeCode(error, "unauthorized")) return "uninstalled";
    log.warn("cannot find out whether the agent is uninstalled; its configuration stays", { error: messageOf(error) });
    return "restarted";
  }
}

async function isEnding({ client, namespace }: AgentEndOptions): Promise<boolean> {
  const found = await client.get(namespaceKind, namespace);
  return found?.metadata.deletionTimestamp !== undefined;
}

/** Whether the DaemonSet of one of these revisions' ztunnels still exists and is not being deleted. */
async function oneStays({ client, namespace }: AgentEndOptions, ztunnels: readonly string[]): Promise<boolean> {
  for (const revision of new Set(ztunnels)) {
    const name = revision === "default" ? "ztunnel" : `ztunnel-${revision}`;
    const found = await client.get(daemonSetKind, name, namespace);
    if (found !== undefined && found.metadata.deletionTimestamp === undefined) return true;
  }
  return false;
}
