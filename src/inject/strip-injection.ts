import type { Container, Pod } from "../api/kubernetes/index.ts";
import { isTree, withoutNulls } from "../base/index.ts";
import { podAnnotations } from "./annotations.ts";
import { findAnyContainer } from "./merge-pod.ts";
import { podFaults } from "./pod-faults.ts";
import { restoreProbes, probersVariable } from "./probes.ts";
import { applicationVariable, restoredPrometheus } from "./prometheus.ts";
import { proxyContainerName } from "./template-input.ts";

type ContainerLists = Partial<Record<"containers" | "initContainers", readonly Container[]>>;

/**
 * Returns the pod as it was before an injection, as far as the injection has recorded it. A pod that `kube-inject` has
 * changed thus gets the sidecar of its namespace's revision, as in upstream. Labels that injection has set stay,
 * because the next injection writes them again. Returns a pod without a valid record unchanged. A record is also
 * invalid if it restores fields whose types the API server would refuse.
 */
export function withoutInjection(pod: Pod): Pod {
  const { annotations = {} } = pod.metadata;
  const added = readObject(annotations[podAnnotations.status]);
  if (added === undefined || pod.spec === undefined) return pod;
  const environment = environmentOf(findAnyContainer(pod, proxyContainerName));
  const own = (readObject(annotations[podAnnotations.overrides]) ?? {}) as ContainerLists;
  const { containers, initContainers, volumes } = pod.spec;
  const left = <Item extends { readonly name: string }>(list: readonly Item[], names: unknown): Item[] => {
    const gone = setOf(names);
    return gone === undefined ? [...list] : list.filter(({ name }) => !gone.has(name));
  };
  // Restore the user's settings only for containers that injection had added, so that an annotation cannot add other
  // containers to the pod.
  const changed = (list: readonly Container[] | undefined, names: unknown): Container[] => {
    const known = setOf(names);
    return known !== undefined && Array.isArray(list)
      ? (list as readonly unknown[]).filter(
          (container): container is Container => isTree(container) && known.has(container["name"]),
        )
      : [];
  };
  const { [podAnnotations.status]: _status, [podAnnotations.overrides]: _overrides, ...kept } = annotations;
  const stripped: Pod = {
    ...pod,
    metadata: {
      ...pod.metadata,
      annotations: restoredPrometheus(kept, environment.get(applicationVariable)),
    },
    spec: {
      ...pod.spec,
      containers: [...left(containers, added["containers"]), ...changed(own.containers, added["containers"])],
      ...(initContainers === undefined
        ? {}
        : {
            initContainers: [
              ...left(initContainers, added["initContainers"]),
              ...changed(own.initContainers, added["initContainers"]),
            ],
          }),
      ...(volumes === undefined ? {} : { volumes: left(volumes, added["volumes"]) }),
    },
  };
  const restored = withoutNulls(restoreProbes(stripped, environment.get(probersVariable)));
  return podFaults(restored).length > 0 && podFaults(pod).length === 0 ? pod : restored;
}

function environmentOf(container: Container | undefined): ReadonlyMap<string, string | undefined> {
  return new Map((container?.env ?? []).map(({ name, value }) => [name, value]));
}

function setOf(names: unknown): ReadonlySet<unknown> | undefined {
  return Array.isArray(names) ? new Set<unknown>(names) : undefined;
}

/** Parses the JSON object in an annotation. Any user may have written it, so an invalid value gives undefined. */
function readObject(text: string | undefined): Record<string, unknown> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
