import type { UntypedObject } from "../../api/index.ts";
import { analyze } from "../../analyze/index.ts";
import { messagesByObject, type ConfigMessages } from "./config-messages.ts";
import type { MeshObjects } from "./mesh-objects.ts";

/** Kinds that the dashboard reads not at all or only in part. Analyzers that need them must not run. */
const leftOut = ["/Secret", "/ConfigMap", "apps/Deployment", "apiextensions.k8s.io/CustomResourceDefinition"] as const;

/**
 * The analyzer's messages about all objects. It takes some milliseconds for each hundred objects, so it runs only after
 * changes.
 */
export function configMessagesOf(
  objects: MeshObjects,
  unread: ReadonlySet<string>,
  istioNamespace = "istio-system",
): ConfigMessages {
  const typed = (apiVersion: string, kind: string, items: readonly object[]): UntypedObject[] =>
    items.map((item) => ({ apiVersion, kind, ...item }) as UntypedObject);
  const resources = [
    ...objects.configs,
    ...typed("v1", "Namespace", objects.namespaces),
    ...typed("v1", "Service", objects.services),
    ...typed("v1", "Pod", objects.pods),
    ...typed("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", objects.injectors),
  ];
  const messages = analyze(
    resources.map((object) => ({ object })),
    { scope: "cluster", unread: new Set([...unread, ...leftOut]), istioNamespace, defaultNamespace: "default" },
  );
  return messagesByObject(messages);
}
