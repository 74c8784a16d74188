import { formatLabelSelector } from "../../../api/index.ts";
import type { ListChange } from "../../act/undo-context.ts";
import { clusterSuffix, movedDestinations, type GainingDestination, type RouteDestination } from "../../plan/index.ts";
import { selectorOf, subsetLabels } from "../service-labels.ts";
import { endpointsState, type EndpointSources } from "./endpoints-state.ts";
import { podsServe, type Serving } from "./pod-conditions.ts";

/**
 * Why a route's list must not change yet: a destination that would get more requests has no ready pod, or is a subset
 * that no DestinationRule has, or proxies do not know the pods of a destination that had no requests. The cause may be
 * that somebody has scaled down a version without requests, or removed a subset. Undefined if the list may change, if
 * the pods of a destination are unknown, or if requests reach no pod before the change either.
 */
export async function notServedYet(
  sources: EndpointSources,
  { object, before, after }: ListChange,
): Promise<string | undefined> {
  const { gaining, former } = movedDestinations(object, before, after);
  for (const destination of gaining) {
    const missing = await missingPods(sources, destination);
    if (missing === undefined) continue;
    const left = await Promise.all(former.map(async (from) => await podsOf(sources, from)));
    return left.some((pods) => pods?.serves !== "none") ? missing : undefined;
  }
  return undefined;
}

/**
 * Whether the change takes requests from pods that serve, and gives them to a destination without a ready pod. Unlike
 * {@link notServedYet}, it does not ask which workloads make the pods.
 */
export async function losesPods(
  sources: Pick<EndpointSources, "client" | "view">,
  { object, before, after }: ListChange,
): Promise<boolean> {
  const { gaining, former } = movedDestinations(object, before, after);
  const serves = async (destination: RouteDestination): Promise<boolean> =>
    (await podsOf(sources, destination))?.serves === "here";
  const [gain, had] = await Promise.all(
    [gaining, former].map(async (all) => await Promise.all(all.map(async (destination) => await serves(destination)))),
  );
  return gain?.includes(false) === true && had?.includes(true) === true;
}

/**
 * Why requests to the destination would reach no pod. Undefined if they would reach a pod, or if the destination's pods
 * are unknown.
 */
async function missingPods(sources: EndpointSources, destination: GainingDestination): Promise<string | undefined> {
  const { namespace, service, subset = "", isNew } = destination;
  const pods = await podsOf(sources, destination);
  if (pods === undefined || pods.serves === "elsewhere") return undefined;
  const { labels, serves } = pods;
  if (labels === undefined)
    return `no DestinationRule for ${hostOf(destination)} has the subset ${subset}, which would get more requests; add the subset to spec.subsets of the host's DestinationRule`;
  if (serves === "none")
    return `Service ${namespace}/${service} has no ready pod, and would get more requests; let pods of it become ready: kubectl -n ${namespace} get pods -l ${formatLabelSelector({ matchLabels: labels })}`;
  const reference = { apiVersion: "v1", kind: "Service", plural: "services", name: service, namespace };
  const state = await endpointsState(
    { ...sources, withoutProxies: !isNew || sources.withoutProxies === true },
    { type: "endpoints", service: reference, labels, atLeast: 1 },
  );
  // Proxies of other namespaces do not delay the change. Otherwise anybody who may create a pod in any namespace could
  // stop every rollout.
  return state.state === "met" || (state.state === "waiting" && state.isOfOthers === true) ? undefined : state.detail;
}

interface DestinationPods {
  /**
   * The labels by which the destination selects its pods. Undefined if the destination is a subset that does not exist.
   */
  readonly labels: Readonly<Record<string, string>> | undefined;
  readonly serves: Serving;
}

/** The pods behind a destination. Undefined if the Service has no selector, or does not exist. */
async function podsOf(
  { client, view }: Pick<EndpointSources, "client" | "view">,
  destination: RouteDestination,
): Promise<DestinationPods | undefined> {
  const { namespace, service, subset } = destination;
  const selector = await selectorOf({ client, view }, service, namespace);
  if (selector === undefined) return undefined;
  const own =
    subset === undefined ? {} : await subsetLabels({ client, view }, hostOf(destination), subset, [namespace]);
  if (own === undefined) return { labels: undefined, serves: "none" };
  const labels = { ...selector, ...own };
  return { labels, serves: await podsServe(view, { namespace, service, podLabels: labels }) };
}

function hostOf({ service, namespace }: RouteDestination): string {
  return `${service}.${namespace}.${clusterSuffix}`;
}
