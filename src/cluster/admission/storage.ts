import type { UntypedObject } from "../../api/index.ts";
import type { Store } from "../store/index.ts";
import { volumeAnnotations, volumeFinalizers } from "../record/local-volumes.ts";
import { compareQuantities, parseQuantity } from "../schema/quantity.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { forbidden } from "./request.ts";

const claims = "/persistentvolumeclaims";
const volumes = "/persistentvolumes";
const classes = "storage.k8s.io/storageclasses";

interface ClaimSpec {
  storageClassName?: string;
  resources?: { requests?: Record<string, string> };
}

/**
 * Protects new claims and volumes from deletion while they are in use, gives claims the default class, and refuses to
 * enlarge a claim whose class does not allow it (StorageObjectInUseProtection, DefaultStorageClass,
 * PersistentVolumeClaimResize).
 */
export function storageAdmission({ store }: { readonly store: Store }): AdmissionPlugin {
  return {
    name: "Storage",
    mutate({ operation, type, subresource, object }) {
      if (operation !== "CREATE" || subresource !== "" || object === undefined) return;
      if (type.storageKey === volumes) addFinalizer(object, volumeFinalizers.volume);
      if (type.storageKey !== claims) return;
      addFinalizer(object, volumeFinalizers.claim);
      const spec = (object["spec"] ??= {}) as ClaimSpec;
      const fallback = defaultClass(store);
      if (spec.storageClassName === undefined && fallback !== undefined) spec.storageClassName = fallback;
    },
    validate(request) {
      const { operation, type, subresource, object, oldObject } = request;
      if (operation !== "UPDATE" || type.storageKey !== claims || subresource !== "") return;
      if (object === undefined || oldObject === undefined || !grows(object, oldObject)) return;
      const { storageClassName = "" } = (oldObject["spec"] ?? {}) as ClaimSpec;
      if (store.get(classes, "", storageClassName)?.object["allowVolumeExpansion"] === true) return;
      throw forbidden(
        request,
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
      );
    },
  };
}

function addFinalizer({ metadata }: UntypedObject, finalizer: string): void {
  const finalizers = metadata.finalizers ?? [];
  if (!finalizers.includes(finalizer)) metadata.finalizers = [...finalizers, finalizer];
}

/** The newest of the default classes, as in Kubernetes. */
function defaultClass(store: Store): string | undefined {
  const created = ({ metadata }: UntypedObject): string => metadata.creationTimestamp ?? "";
  return store
    .collection(classes)
    .list()
    .filter(({ object }) => object.metadata.annotations?.[volumeAnnotations.defaultClass] === "true")
    .sort((a, b) => created(b.object).localeCompare(created(a.object)) || a.name.localeCompare(b.name))[0]?.name;
}

function grows(object: UntypedObject, old: UntypedObject): boolean {
  const sizeOf = (claim: UntypedObject): ReturnType<typeof parseQuantity> =>
    parseQuantity(((claim["spec"] ?? {}) as ClaimSpec).resources?.requests?.["storage"] ?? "0");
  const [next, before] = [sizeOf(object), sizeOf(old)];
  return next !== undefined && before !== undefined && compareQuantities(next, before) > 0;
}
