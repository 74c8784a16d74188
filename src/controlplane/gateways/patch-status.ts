import type { KubernetesObject } from "../../api/index.ts";
import type { KubeClient } from "../../kube/index.ts";

export const fieldManager = "istio.io/gateway-controller";

/**
 * Writes the status of an object. Fails with `conflict` if the object has changed since it was read. The reconciler
 * then tries again.
 */
export async function patchStatus<Value extends KubernetesObject & { readonly status?: unknown }>(
  client: KubeClient,
  kind: Parameters<typeof client.patchMerge<Value>>[0],
  object: Value,
  status: Value["status"],
): Promise<void> {
  const { name = "", namespace, resourceVersion } = object.metadata;
  await client.patchMerge(
    kind,
    name,
    namespace,
    { metadata: { resourceVersion }, status },
    { subresource: "status", fieldManager },
  );
}
