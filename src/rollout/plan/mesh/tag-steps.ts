import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { Step, Write } from "../../decide/index.ts";
import { labelPointer, reference } from "../references.ts";
import type { MeshWorld } from "./mesh-world.ts";

/** The tag `default` leads to the new revision; a gateway that named none before names none again. */
export function tagStep({ spec }: MeshUpgrade, { defaultTag, gateways }: MeshWorld): Step {
  const object = reference("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", defaultTag?.name ?? "");
  const service = `istiod-${spec.to.revision}`;
  const webhooks = Array.from({ length: defaultTag?.webhooks ?? 0 }, (_, index): Write => ({
    type: "field",
    object,
    pointer: `/webhooks/${index}/clientConfig/service/name`,
    value: service,
  }));
  const labels = gateways
    .filter((gateway) => !gateway.labelled)
    .map(({ name, namespace }): Write => ({
      type: "field",
      object: reference("gateway.networking.k8s.io/v1", "Gateway", name, namespace),
      pointer: labelPointer("istio.io/rev"),
    }));
  return {
    id: "tags",
    title: `the tag default names ${spec.to.revision}`,
    writes: [...webhooks, { type: "field", object, pointer: labelPointer("istio.io/rev"), value: spec.to.revision }, ...(spec.scope.gateways ? labels : [])],
    settle: [],
    checks: [],
  };
}
