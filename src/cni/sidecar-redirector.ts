import { readFileSync } from "node:fs";
import { isFinishedPod, type Pod } from "../api/kubernetes/index.ts";
import { messageOf, type Logger } from "../base/index.ts";
import type { NetworkNamespace } from "../net/index.ts";
import type { PodNamespaceFinder } from "./pod-namespace.ts";
import {
  adaptToUsers,
  applyRedirect,
  hasRedirect,
  planRedirect,
  readRedirectCommand,
  type RedirectOptions,
} from "./redirect/index.ts";

const statusAnnotation = "sidecar.istio.io/status";
const validationContainer = "istio-validation";

/**
 * Returns the redirect that the agent must install for a pod with a sidecar, or undefined if the pod needs none from
 * the agent. The options come from the arguments of the pod's init container, which only checks the redirect. Throws a
 * user error for unsupported flags.
 */
export function sidecarRedirect(pod: Pod): RedirectOptions | undefined {
  if (pod.metadata.annotations?.[statusAnnotation] === undefined || isFinishedPod(pod)) return undefined;
  const container = pod.spec?.initContainers?.find(({ name }) => name === validationContainer);
  if (container === undefined) return undefined;
  const environment = Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]));
  // The agent does not know the pod's name servers, so it redirects all DNS queries.
  return readRedirectCommand([...(container.args ?? []).slice(1), "--capture-all-dns"], environment, "").options;
}

/** Whether the init container that checks the redirect is running, or its last run has failed with exit code 1. */
function isWaiting(pod: Pod): boolean {
  const { state, lastState } =
    pod.status?.initContainerStatuses?.find(({ name }) => name === validationContainer) ?? {};
  return state?.running !== undefined || (lastState?.terminated ?? state?.terminated)?.exitCode === 1;
}

/** Redirects the traffic of a node's pods to their sidecars, if the injection expects the agent to do so. */
export class SidecarRedirector {
  readonly #finder: PodNamespaceFinder;
  readonly #log: Logger;
  readonly #done = new Set<string>();

  constructor(options: { readonly finder: PodNamespaceFinder; readonly log: Logger }) {
    this.#finder = options.finder;
    this.#log = options.log;
  }

  /** Redirects the traffic of a starting pod. Throws if that is impossible. */
  start(pod: Pod, netnsPath: string): void {
    const options = sidecarRedirect(pod);
    if (options === undefined) return;
    using namespace = this.#finder.openPath(netnsPath);
    this.#apply(pod, options, namespace);
  }

  /**
   * Redirects the traffic of a pod that started before the agent and waits for its redirect. It logs a failure and does
   * not throw.
   */
  repair(pod: Pod): void {
    if (this.#done.has(pod.metadata.uid ?? "") || !isWaiting(pod)) return;
    try {
      const options = sidecarRedirect(pod);
      if (options === undefined) return;
      using namespace = this.#finder.open(pod);
      if (namespace === undefined) return;
      if (hasRedirect(namespace.fd)) this.#done.add(pod.metadata.uid ?? "");
      else this.#apply(pod, options, namespace);
    } catch (error) {
      this.#log.warn("a pod's traffic could not be redirected to its sidecar", {
        pod: pod.metadata.name,
        ns: pod.metadata.namespace,
        error: messageOf(error),
      });
    }
  }

  forget(uid: string): void {
    this.#done.delete(uid);
  }

  #apply(pod: Pod, options: RedirectOptions, namespace: NetworkNamespace): void {
    applyRedirect(planRedirect(adaptToUsers(options, readFileSync("/proc/self/uid_map", "utf8"))), namespace.fd);
    this.#done.add(pod.metadata.uid ?? "");
    this.#log.info("redirected a pod's traffic to its sidecar", { pod: pod.metadata.name, ns: pod.metadata.namespace });
  }
}
