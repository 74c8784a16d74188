import type { ObjectReference } from "../../api/serin/index.ts";

/** The namespace of the probe pods. Each pod is enrolled or injected by its own labels. No application runs there. */
export const probeNamespace = "serin-probes";

export const probeNamespaceObject: ObjectReference = {
  apiVersion: "v1",
  kind: "Namespace",
  plural: "namespaces",
  name: probeNamespace,
};
