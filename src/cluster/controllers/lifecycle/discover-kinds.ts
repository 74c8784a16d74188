import { defineKind, type KindDefinition, type KubernetesObject } from "../../../api/index.ts";
import { internalError } from "../../../base/index.ts";
import type { KubeClient } from "../../../kube/index.ts";

interface DiscoveryList {
  items?: {
    metadata?: { name?: string };
    versions?: {
      version: string;
      resources?: {
        resource: string;
        responseKind?: { kind?: string };
        scope?: "Namespaced" | "Cluster";
        verbs?: string[];
      }[];
    }[];
  }[];
}

const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/** Every kind that the server can list, watch and delete, each once, at its group's preferred version. */
export async function discoverKinds(client: KubeClient): Promise<KindDefinition<KubernetesObject>[]> {
  const kinds = new Map<string, KindDefinition<KubernetesObject>>();
  for (const path of ["/api", "/apis"]) {
    const answer = await client.raw("GET", path, { accept: aggregated });
    if (answer.status !== 200) throw internalError("api-server", `GET ${path}: HTTP status ${answer.status}`);
    for (const group of (JSON.parse(answer.text) as DiscoveryList).items ?? []) {
      for (const { version, resources } of group.versions ?? []) {
        for (const { resource, responseKind, scope, verbs = [] } of resources ?? []) {
          const name = group.metadata?.name ?? "";
          const key = `${name}/${resource}`;
          if (kinds.has(key) || !["list", "watch", "delete"].every((verb) => verbs.includes(verb))) continue;
          kinds.set(
            key,
            defineKind({
              group: name,
              versions: [version],
              kind: responseKind?.kind ?? "",
              plural: resource,
              namespaced: scope === "Namespaced",
            }),
          );
        }
      }
    }
  }
  return [...kinds.values()];
}
