import { goDurationMs } from "../../base/index.ts";
import { istioAnnotations, istioLabels, readOwnProxyConfig, type OwnProxyConfig } from "../../api/istio/index.ts";
import { isFinishedPod, workloadOfPod, type Pod } from "../../api/kubernetes/index.ts";
import { parseProxyConfig } from "../../api/proxy-config-text/index.ts";
import { metadataExcerpt, type Excerpt } from "../../kube/index.ts";
import type { PodFacts, SidecarProxyFacts } from "../model/facts.ts";
import { tunnelsItself } from "../model/service/tunnel-servers.ts";

const containers: Excerpt = {
  name: { number: 1, holds: "text" },
  args: { number: 4, holds: "text", repeated: true },
  ports: {
    number: 6,
    repeated: true,
    holds: {
      name: { number: 1, holds: "text" },
      containerPort: { number: 3, holds: "whole number" },
      protocol: { number: 4, holds: "text" },
    },
  },
  env: {
    number: 7,
    repeated: true,
    holds: { name: { number: 1, holds: "text" }, value: { number: 2, holds: "text" } },
  },
};

/**
 * The fields that {@link podFacts} needs. With thousands of pods, the other fields would be most of the data that is
 * read at the start.
 */
export const podFactsExcerpt: Excerpt = {
  metadata: { number: 1, holds: metadataExcerpt },
  spec: {
    number: 2,
    holds: {
      containers: { number: 2, holds: containers, repeated: true },
      serviceAccountName: { number: 8, holds: "text" },
      nodeName: { number: 10, holds: "text" },
      hostNetwork: { number: 11, holds: "flag" },
      initContainers: { number: 20, holds: containers, repeated: true },
    },
  },
  status: {
    number: 3,
    holds: {
      phase: { number: 1, holds: "text" },
      conditions: {
        number: 2,
        repeated: true,
        holds: { type: { number: 1, holds: "text" }, status: { number: 2, holds: "text" } },
      },
      podIP: { number: 6, holds: "text" },
      podIPs: { number: 12, repeated: true, holds: { ip: { number: 1, holds: "text" } } },
    },
  },
};

/** The facts of a pod. Undefined if it has ended, because another pod may already have its address. */
export function podFacts(pod: Pod): PodFacts | undefined {
  const { metadata, spec, status } = pod;
  if (isFinishedPod(pod)) return undefined;
  // A pod gets its address from its node. If it has no node, only a user with the right to write statuses can have
  // written the address, so it is ignored.
  const reported = status?.podIPs?.map((entry) => entry.ip) ?? (status?.podIP === undefined ? [] : [status.podIP]);
  const addresses = (spec?.nodeName ?? "") === "" ? [] : reported;
  const sidecar = sidecarOf(pod);
  const proxyConfig = proxyConfigOf(pod);
  const isReady =
    status?.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") ?? false;
  const ends = metadata.deletionTimestamp !== undefined;
  return {
    namespace: metadata.namespace ?? "default",
    name: metadata.name ?? "",
    labels: metadata.labels ?? {},
    addresses,
    hostNetwork: spec?.hostNetwork ?? false,
    node: spec?.nodeName ?? "",
    serviceAccount: spec?.serviceAccountName ?? "default",
    ...((spec?.serviceAccountName ?? "") === "" ? { hasNoAccount: true } : {}),
    ready: isReady && !ends,
    leaving: isReady && ends,
    redirected: metadata.annotations?.[istioAnnotations.ambientRedirection] === "enabled",
    workloadName: metadata.labels?.[istioLabels.workloadName] ?? workloadOfPod(pod).name,
    ...(sidecar === undefined ? {} : { sidecar }),
    ...(proxyConfig === undefined ? {} : { proxyConfig }),
    containerPorts: (spec?.containers ?? []).flatMap((container) =>
      (container.ports ?? []).map((port) => ({
        name: port.name ?? "",
        port: port.containerPort,
        protocol: port.protocol ?? "TCP",
      })),
    ),
  };
}

function proxyConfigOf(pod: Pod): OwnProxyConfig | undefined {
  const annotated = annotatedConfigOf(pod);
  const idleTimeoutMs = idleTimeoutOf(pod);
  const acceptsHttp10 = variableOf(proxyContainerOf(pod), "ISTIO_META_HTTP10") === "1";
  if (idleTimeoutMs === undefined && !acceptsHttp10) return annotated;
  return {
    ...annotated,
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(acceptsHttp10 ? { acceptsHttp10 } : {}),
  };
}

/** The pod's idle timeout for connections. As in upstream, a value that is no duration has no effect. */
function idleTimeoutOf(pod: Pod): number | undefined {
  const text = variableOf(proxyContainerOf(pod), "ISTIO_META_IDLE_TIMEOUT");
  const milliseconds = text === undefined ? undefined : goDurationMs(text);
  // An Envoy refuses a listener with a negative or too long duration.
  const isUsable = milliseconds !== undefined && milliseconds >= 0 && milliseconds <= maxIdleMs;
  return isUsable ? Math.round(milliseconds) : undefined;
}

/** An unreadable value is ignored. Injection has refused it, and it has no effect on a pod without injection. */
function annotatedConfigOf({ metadata }: Pod): OwnProxyConfig | undefined {
  const text = metadata.annotations?.[istioAnnotations.proxyConfig];
  if (text === undefined) return undefined;
  try {
    return readOwnProxyConfig(parseProxyConfig(text));
  } catch {
    return undefined;
  }
}

const proxyContainer = "istio-proxy";
/** A hundred years. */
const maxIdleMs = 3_153_600_000_000;
const otherModes = ["router", "waypoint", "ztunnel"];

type Container = NonNullable<NonNullable<Pod["spec"]>["containers"]>[number];

function proxyContainerOf({ spec }: Pod): Container | undefined {
  return [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].find(({ name }) => name === proxyContainer);
}

function variableOf(container: Container | undefined, name: string): string | undefined {
  return container?.env?.find((entry) => entry.name === name)?.value;
}

/** The sidecar of a pod is the container `istio-proxy`, except in gateways and waypoints. */
function sidecarOf(pod: Pod): SidecarProxyFacts | undefined {
  const container = proxyContainerOf(pod);
  if (container === undefined || otherModes.some((mode) => container.args?.includes(mode) === true)) return undefined;
  const variable = (name: string): string | undefined => variableOf(container, name);
  const interception =
    pod.metadata.annotations?.[istioAnnotations.interceptionMode] ?? variable("ISTIO_META_INTERCEPTION_MODE");
  return {
    interception: interception === "NONE" || interception === "TPROXY" ? interception : "REDIRECT",
    hbone: variable("ISTIO_META_ENABLE_HBONE") === "true" || tunnelsItself(pod.metadata.labels ?? {}),
    ...(variable("ISTIO_META_ENABLE_SELF_DISCOVERY") === "true" ? { selfDiscovery: true } : {}),
  };
}
