import type { UntypedObject } from "../../api/index.ts";
import type { Store, StoredRecord } from "../store/index.ts";
import { systemPriorityClasses } from "../schema/system-priority-classes.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { forbidden, type AdmissionRequest } from "./request.ts";

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

interface PriorityClass extends UntypedObject {
  readonly value?: number;
  readonly preemptionPolicy?: string;
}

const priorityClasses = "scheduling.k8s.io/priorityclasses";
const unreachableSeconds = 300;

/**
 * Sets a pod's priority from its class, and lets the pod tolerate an unready or unreachable node for 300 s (Priority,
 * DefaultTolerationSeconds). Allows only one default class, and refuses to delete the system's own classes.
 */
export function podDefaults({ store }: { readonly store: Store }): AdmissionPlugin {
  return {
    name: "PodDefaults",
    mutate(request) {
      const { operation, type, subresource, object, name } = request;
      // Protect the system's classes. Pods of the mesh and of nodes name them, and the API server creates them only
      // when it starts.
      if (operation === "DELETE" && type.storageKey === priorityClasses && systemPriorityClasses.has(name))
        throw forbidden(request, "this is a system priority class and cannot be deleted");
      if (operation !== "CREATE" || type.storageKey !== "/pods" || subresource !== "" || object === undefined) return;
      const spec = (object["spec"] ??= {}) as PodSpec;
      setPriority(store, spec, request);
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
    validate(request) {
      const { operation, type, subresource, object } = request;
      if (type.storageKey !== priorityClasses || subresource !== "" || object?.["globalDefault"] !== true) return;
      const other = defaultClass(store);
      if (other === undefined || (operation === "UPDATE" && other.name === object.metadata.name)) return;
      throw forbidden(request, `PriorityClass ${other.name} is already marked as default. Only one default can exist`);
    },
  };
}

/**
 * Sets a pod's priority to that of its class, or of the default class. A pod may state the same priority, but not
 * another one.
 */
function setPriority(store: Store, spec: PodSpec, request: AdmissionRequest): void {
  const className = spec.priorityClassName ?? "";
  const found = className === "" ? defaultClass(store) : store.get(priorityClasses, "", className);
  if (className !== "" && found === undefined)
    throw forbidden(request, `no PriorityClass with name ${className} was found`);
  if (found !== undefined) spec.priorityClassName = found.name;
  const { value = 0, preemptionPolicy = "PreemptLowerPriority" } = (found?.object ?? {}) as PriorityClass;
  if (spec.priority !== undefined && spec.priority !== value)
    throw forbidden(
      request,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
    );
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== preemptionPolicy)
    throw forbidden(
      request,
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${preemptionPolicy} from the given PriorityClass name`,
    );
  spec.priority = value;
  spec.preemptionPolicy = preemptionPolicy;
}

/** The default class. If there are several, for example after a race, the class with the lowest priority applies. */
function defaultClass(store: Store): StoredRecord | undefined {
  const valueOf = ({ object }: StoredRecord): number => (object as PriorityClass).value ?? 0;
  return store
    .collection(priorityClasses)
    .list()
    .filter(({ object }) => object["globalDefault"] === true)
    .sort((a, b) => valueOf(a) - valueOf(b))[0];
}
