import type { UntypedObject } from "../../api/index.ts";
import { jsonEqual } from "../../base/index.ts";
import { cloneJson } from "../schema/json.ts";
import type { Store } from "../store/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { forbidden } from "./request.ts";

type Texts = Record<string, string>;

interface PodSpec {
  readonly runtimeClassName?: string;
  overhead?: Texts;
  nodeSelector?: Texts;
  tolerations?: object[];
}

interface RuntimeClass extends UntypedObject {
  readonly overhead?: { readonly podFixed?: Texts };
  readonly scheduling?: { readonly nodeSelector?: Texts; readonly tolerations?: readonly object[] };
}

/**
 * Gives new pods the overhead, node selector and tolerations of their RuntimeClass, and refuses a pod whose class does
 * not exist. The lab runs the pods of all classes in the same way.
 */
export function runtimeClasses(store: Store): AdmissionPlugin {
  return {
    name: "RuntimeClass",
    mutate(request) {
      const { operation, type, subresource, object } = request;
      if (operation !== "CREATE" || type.storageKey !== "/pods" || subresource !== "" || object === undefined) return;
      const spec = (object["spec"] ??= {}) as PodSpec;
      const { runtimeClassName: name } = spec;
      if (name === undefined) {
        if (Object.keys(spec.overhead ?? {}).length > 0)
          throw forbidden(
            request,
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
          );
        return;
      }
      const found = store.get("node.k8s.io/runtimeclasses", "", name)?.object;
      if (found === undefined) throw forbidden(request, `pod rejected: RuntimeClass "${name}" not found`);
      const fault = setOverhead(spec, found) ?? setScheduling(spec, found);
      if (fault !== undefined) throw forbidden(request, `pod rejected: ${fault}`);
    },
  };
}

function setOverhead(spec: PodSpec, { overhead }: RuntimeClass): string | undefined {
  const fixed = overhead?.podFixed;
  const isSet = Object.keys(spec.overhead ?? {}).length > 0;
  if (fixed === undefined)
    return isSet ? "Pod Overhead set without corresponding RuntimeClass defined Overhead" : undefined;
  if (isSet && !jsonEqual(spec.overhead, fixed)) return "Pod's Overhead doesn't match RuntimeClass's defined Overhead";
  spec.overhead = { ...fixed };
  return undefined;
}

function setScheduling(spec: PodSpec, { scheduling }: RuntimeClass): string | undefined {
  const { nodeSelector = {}, tolerations = [] } = scheduling ?? {};
  for (const [key, value] of Object.entries(nodeSelector)) {
    const own = spec.nodeSelector?.[key];
    if (own !== undefined && own !== value)
      return `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`;
  }
  if (Object.keys(nodeSelector).length > 0) spec.nodeSelector = { ...spec.nodeSelector, ...nodeSelector };
  const added = tolerations.filter((toleration) => !(spec.tolerations ?? []).some((own) => jsonEqual(own, toleration)));
  if (added.length > 0) spec.tolerations = [...(spec.tolerations ?? []), ...cloneJson(added)];
  return undefined;
}
