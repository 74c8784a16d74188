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
 * The redirect that a pod's injection leaves to the agent, or undefined for every other pod. The pod's init container
 * only checks the redirect; its arguments are the redirect's flags. Throws a user error for flags that cannot be
 * honoured.
 */
export function sidecarRedirect(pod: Pod): RedirectOptions | undefined {
  if (pod.metadata.annotations?.[statusAnnotation] === undefined || isFinishedPod(pod)) return undefined;
  const container = pod.spec?.initContainers?.find(({ name }) => name === validationContainer);
  if (container === undefined) return undefined;
  const environment = Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]));
  // The name servers of the pod are unknown here, so a redirect of DNS takes all of its queries.
  return readRedirectCommand([...(container.args ?? []).slice(1), "--capture-all-dns"], environment, "").options;
}

/** Whether the pod's check has begun and has not passed. */
function isWaiting(pod: Pod): boolean {
  const { state, lastState } =
    pod.status?.initContainerStatuses?.find(({ name }) => name === validationContainer) ?? {};
  return state?.running !== undefined || (lastState?.terminated ?? state?.terminated)?.exitCode === 1;
}

/** Redirects the traffic of a node's pods to their sidecars, if injection left that to the agent. */
export class SidecarRedirector {
  readonly #finder: PodNamespaceFinder;
  readonly #log: Logger;
  readonly #done = new Set<string>();

  constructor(options: { readonly finder: PodNamespaceFinder; readonly log: Logger }) {
    this.#finder = options.finder;
    this.#log = options.log;
  }

  /** Redirects a starting pod. Throws if its traffic cannot be redirected. */
  start(pod: Pod, netnsPath: string): void {
    const options = sidecarRedirect(pod);
    if (options === undefined) return;
    using namespace = this.#finder.openPath(netnsPath);
    this.#apply(pod, options, namespace);
  }

  /** Redirects a pod that started before the agent and waits for its redirect. Best effort. */
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
