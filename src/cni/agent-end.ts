import { daemonSetKind, namespaceKind, type DaemonSet } from "../api/kubernetes/index.ts";
import { messageOf, type Clock, type Logger } from "../base/index.ts";
import { isKubeCode, type Informer, type KubeClient } from "../kube/index.ts";

/**
 * Why an agent ends. `restarted` means that another agent will follow it. `removed` means that its DaemonSet was
 * deleted while a ztunnel stays. `uninstalled` means that the mesh is removed too.
 */
export type AgentEnd = "restarted" | "removed" | "uninstalled";

export interface AgentEndOptions {
  readonly client: Pick<KubeClient, "get">;
  /** The namespace of the agent and of its ztunnels. */
  readonly namespace: string;
  readonly daemonSet: string;
  /** The agent's DaemonSet as the watch last showed it. The watch must continue until the result is known. */
  readonly seen: SeenDaemonSet;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The last state of a DaemonSet in a watch: unknown, existing, being deleted, or deleted. */
export class SeenDaemonSet {
  #state: "unknown" | "present" | "deleted" = "unknown";

  /** Follows the only DaemonSet of this informer. */
  constructor(informer: Pick<Informer<DaemonSet>, "subscribe">) {
    informer.subscribe(({ type, object }) => {
      this.#state = type === "set" && object.metadata.deletionTimestamp === undefined ? "present" : "deleted";
    });
  }

  get state(): "unknown" | "present" | "deleted" {
    return this.#state;
  }
}

/** The pause before the second check. Several DaemonSets may be deleted one after another. */
const secondLookMs = 1_000;
/**
 * How many times the agent asks again if the API server refuses to answer. A server that has just started may refuse
 * every client. The pod's grace period is 30 s.
 */
const looksWhileRefused = 10;

/**
 * Asks the API server why the agent ends. Only a foreground deletion of the DaemonSet shows that the mesh is
 * uninstalled. A background deletion may also be a `kubectl delete`, perhaps by mistake or before a new installation.
 * Pods then stay with their ztunnels, because without these no policy would be enforced. If the API server refuses to
 * answer, what the agent saw of its DaemonSet decides.
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
  // The agent may lose its rights for other reasons than an uninstallation: new signing keys, or an account that was
  // created again. The next agent has the rights again.
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

/** Whether the DaemonSet of one of these revisions' ztunnels still exists and is not being deleted. */
async function oneStays({ client, namespace }: AgentEndOptions, ztunnels: readonly string[]): Promise<boolean> {
  for (const revision of new Set(ztunnels)) {
    const name = revision === "default" ? "ztunnel" : `ztunnel-${revision}`;
    const found = await client.get(daemonSetKind, name, namespace);
    if (found !== undefined && found.metadata.deletionTimestamp === undefined) return true;
  }
  return false;
}
