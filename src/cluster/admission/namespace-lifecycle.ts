import type { Store } from "../store/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { AdmissionRefusal, forbidden } from "./request.ts";

const immortal = new Set(["default", "kube-system", "kube-public"]);
/** Namespaced reviews. The server does not store them, so their namespace need not exist. */
const unstored = new Set(["localsubjectaccessreviews"]);

/**
 * Refuses new objects in a missing or terminating namespace, and the deletion of system namespaces. As in Kubernetes,
 * evictions, bindings and tokens count as new objects.
 */
export function namespaceLifecycle(store: Store): AdmissionPlugin {
  return {
    name: "NamespaceLifecycle",
    mutate(request) {
      const { operation, type, namespace, name } = request;
      if (operation === "DELETE" && type.storageKey === "/namespaces" && immortal.has(name))
        throw forbidden(request, "this namespace may not be deleted");
      if (operation !== "CREATE" || !type.namespaced || unstored.has(type.plural)) return;
      const found = store.latest("/namespaces", "", namespace);
      if (found === undefined)
        throw new AdmissionRefusal(404, "NotFound", `namespaces "${namespace}" not found`, [], {
          name: namespace,
          kind: "namespaces",
        });
      const { phase } = (found.object["status"] ?? {}) as { phase?: string };
      if (phase !== "Terminating" && found.object.metadata.deletionTimestamp === undefined) return;
      const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
      const message = `namespace ${namespace} is being terminated`;
      throw forbidden(request, why, [{ reason: "NamespaceTerminating", message, field: "metadata.namespace" }]);
    },
  };
}
