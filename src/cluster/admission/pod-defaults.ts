import { ownField } from "../../base/index.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { AdmissionRefusal } from "./request.ts";

interface Toleration {
  key?: string;
  operator?: string;
  effect?: string;
  tolerationSeconds?: number;
}

interface PodSpec {
  priorityClassName?: string;
  priority?: number;
  preemptionPolicy?: string;
  tolerations?: Toleration[];
}

const systemPriorities: Readonly<Record<string, number>> = {
  "system-cluster-critical": 2_000_000_000,
  "system-node-critical": 2_000_001_000,
};
const unreachableSeconds = 300;

/**
 * Sets a pod's priority from its class, and tolerates an unready node for 300 s (Priority, DefaultTolerationSeconds).
 */
export function podDefaults({ store }: { readonly store: Store }): AdmissionPlugin {
  return {
    name: "PodDefaults",
    mutate({ operation, type, subresource, object }) {
      if (operation !== "CREATE" || type.storageKey !== "/pods" || subresource !== "" || object === undefined) return;
      const spec = (object["spec"] ??= {}) as PodSpec;
      setPriority(store, spec, object.metadata.name ?? "");
      for (const key of ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]) {
        const tolerated = (spec.tolerations ?? []).some((toleration) => {
          return (
            (toleration.key === key || (toleration.key ?? "") === "") &&
            (toleration.effect === "NoExecute" || (toleration.effect ?? "") === "")
          );
        });
        if (!tolerated)
          spec.tolerations = [
            ...(spec.tolerations ?? []),
            { key, operator: "Exists", effect: "NoExecute", tolerationSeconds: unreachableSeconds },
          ];
      }
    },
  };
}

function setPriority(store: Store, spec: PodSpec, name: string): void {
  const classes = store.collection("scheduling.k8s.io/priorityclasses");
  const className = spec.priorityClassName ?? "";
  if (className === "") {
    const fallback = classes.list().find((record) => record.object["globalDefault"] === true);
    if (fallback !== undefined) spec.priorityClassName = fallback.name;
    spec.priority = (fallback?.object["value"] as number | undefined) ?? 0;
    spec.preemptionPolicy ??= (fallback?.object["preemptionPolicy"] as string | undefined) ?? "PreemptLowerPriority";
    return;
  }
  const found = classes.get("", className);
  const value = (found?.object["value"] as number | undefined) ?? ownField(systemPriorities, className);
  if (value === undefined)
    throw new AdmissionRefusal(
      403,
      "Forbidden",
      `pods "${name}" is forbidden: no PriorityClass with name ${className} was found`,
    );
  spec.priority = value;
  spec.preemptionPolicy ??= (found?.object["preemptionPolicy"] as string | undefined) ?? "PreemptLowerPriority";
}
