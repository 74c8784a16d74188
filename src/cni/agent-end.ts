import { daemonSetKind, namespaceKind, type DaemonSet } from "../api/kubernetes/index.ts";
import { messageOf, type Clock, type Logger } from "../base/index.ts";
import { isKubeCode, type Informer, type KubeClient } from "../kube/index.ts";

/**
 * Why an agent ends. `restarted` means that another agent follows. `removed` means that its DaemonSet was deleted while
 * a ztunnel stays. `uninstalled` means that the mesh is removed too.
 */
export type AgentEnd = "restarted" | "removed" | "uninstalled";

export interface AgentEndOptions {
  readonly client: Pick<KubeClient, "get">;
  /** The namespace of the agent and of its ztunnels. */
  readonly namespace: string;
  readonly daemonSet: string;
  /** The agent's DaemonSet in the agent's watch. The watch must continue until {@link agentEnd} has returned. */
  readonly seen: SeenDaemonSet;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The last state of a DaemonSet in a watch. A DaemonSet that is being deleted counts as deleted. */
export class SeenDaemonSet {
  #state: "unknown" | "present" | "deleted" = "unknown";

  /** The informer must watch only this DaemonSet. */
  constructor(informer: Pick<Informer<DaemonSet>, "subscribe">) {
    informer.subscribe(({ type, object }) => {
      this.#state = type === "set" && object.metadata.deletionTimestamp === undefined ? "present" : "deleted";
    });
  }

  get state(): "unknown" | "present" | "deleted" {
    return this.#state;
  }
}

/** The pause in milliseconds before the next check. Several DaemonSets may be deleted one after another. */
const secondLookMs = 1_000;
/**
 * How many times the agent asks an API server that refuses to answer. A server that has just started may refuse every
 * client. The attempts must end within the pod's grace period of 30 s.
 */
const looksWhileRefused = 10;

/**
 * Asks the API server why the agent ends. The mesh counts as uninstalled if the agent's DaemonSet (by a foreground
 * deletion) or its namespace is being deleted, or if the DaemonSets of its ztunnels are gone too. A background deletion
 * of the agent's DaemonSet alone may also be a `kubectl delete`, perhaps by mistake or before a new installation. Pods
 * then stay with their ztunnels, because without these no policy would be enforced. If the API server refuses to
 * answer, the last state of the DaemonSet in the watch decides.
 */
export async function agentEnd(options: AgentEndOptions, ztunnels: readonly string[]): Promise<AgentEnd> {
  const { seen, clock, log } = options;
  try {
    for (let look = 0; look < looksWhileRefused; look++) {
      const end = await unlessRefused(endNow(options, ztunnels));
      if (end !== undefined) return end;
      // An uninstallation also removes the agent's account and rights.
      if (seen.state === "deleted") return "uninstalled";
      await clock.sleep(secondLookMs);
    }
  } catch (error) {
    log.warn("cannot find out whether the agent is uninstalled; its configuration stays", { error: messageOf(error) });
    return "restarted";
  }
  if (seen.state === "unknown") return "uninstalled";
  // The agent may also lose its rights because signing keys are new, or because its account was created again. The next
  // agent has the rights again.
  log.warn("the API server refuses the agent, whose DaemonSet exists; its configuration stays");
  return "restarted";
}

async function unlessRefused(end: Promise<AgentEnd>): Promise<AgentEnd | undefined> {
  try {
    return await end;
  } catch (error) {
    if (isKubeCode(error, "forbidden") || isKubeCode(error, "unauthorized")) return undefined;
    throw error;
  }
}

async function endNow(options: AgentEndOptions, ztunnels: readonly string[]): Promise<AgentEnd> {
  const { client, namespace, daemonSet, clock } = options;
  const own = await client.get(daemonSetKind, daemonSet, namespace);
  if (own?.metadata.deletionTimestamp !== undefined || (await isEnding(options))) return "uninstalled";
  if (own !== undefined) return "restarted";
  if (!(await oneStays(options, ztunnels))) return "uninstalled";
  await clock.sleep(secondLookMs);
  return (await oneStays(options, ztunnels)) ? "removed" : "uninstalled";
}

async function isEnding({ client, namespace }: AgentEndOptions): Promise<boolean> {
  const found = await client.get(namespaceKind, namespace);
  return found?.metadata.deletionTimestamp !== undefined;
}

/** Whether a DaemonSet of these revisions' ztunnels exists and is not being deleted. */
async function oneStays({ client, namespace }: AgentEndOptions, ztunnels: readonly string[]): Promise<boolean> {
  for (const revision of new Set(ztunnels)) {
    const name = revision === "default" ? "ztunnel" : `ztunnel-${revision}`;
    const found = await client.get(daemonSetKind, name, namespace);
    if (found !== undefined && found.metadata.deletionTimestamp === undefined) return true;
  }
  return false;
}
