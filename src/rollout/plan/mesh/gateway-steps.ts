import type { MeshUpgrade } from "../../../api/serin/index.ts";
import type { SettleCondition, Step, Write } from "../../decide/index.ts";
import { canaryReplicasAnnotation, canaryRevisionAnnotation, stableReplicasAnnotation } from "../labels.ts";
import { annotationPointer, labelPointer, reference } from "../references.ts";
import type { GatewayInWorld } from "./mesh-world.ts";
import { check } from "./planned-check.ts";

export function gatewaySteps(upgrade: MeshUpgrade, gateway: GatewayInWorld): Step[] {
  const { from, to } = upgrade.spec;
  const object = reference("gateway.networking.k8s.io/v1", "Gateway", gateway.name, gateway.namespace);
  const id = `gateway-${gateway.namespace}/${gateway.name}`;
  const stable = reference("apps/v1", "Deployment", `${gateway.name}-istio`, gateway.namespace);
  const canary = reference("apps/v1", "Deployment", `${gateway.name}-istio-${to.revision}`, gateway.namespace);
  const answers = check(upgrade, "request-success-rate", { type: "gatewayRevisions", gateway, canary: to.revision, stable: from.revision });
  const nacks = check(upgrade, "xds-nacks", { type: "proxies", revision: to.revision });
  const annotate = (key: string, value?: string): Write => ({
    type: "field",
    object,
    pointer: annotationPointer(key),
    ...(value === undefined ? {} : { value }),
  });
  const acknowledged: SettleCondition = { type: "acknowledged", object };
  return [
    {
      id: `${id}-canary`,
      title: `gateway ${gateway.name}: one pod of ${to.revision} behind the same Service`,
      writes: [annotate(canaryRevisionAnnotation, to.revision), annotate(canaryReplicasAnnotation, String(gateway.replicas))],
      settle: [{ type: "ready", object: canary }, acknowledged],
      checks: [nacks, answers],
    },
    {
      id: `${id}-shift`,
      title: `gateway ${gateway.name}: all pods of ${to.revision}`,
      writes: [annotate(stableReplicasAnnotation, "0")],
      settle: [{ type: "ready", object: stable }, acknowledged],
      checks: [answers],
    },
    {
      id: `${id}-promote`,
      title: `gateway ${gateway.name} belongs to ${to.revision}`,
      writes: [{ type: "field", object, pointer: labelPointer("istio.io/rev"), value: to.revision }, annotate(stableReplicasAnnotation)],
      settle: [acknowledged, { type: "ready", object: stable }],
      checks: [answers],
    },
    {
      id: `${id}-finish`,
      title: `gateway ${gateway.name}: its canary leaves`,
      writes: [annotate(canaryRevisionAnnotation), annotate(canaryReplicasAnnotation)],
      settle: [acknowledged],
      checks: [],
    },
  ];
}
