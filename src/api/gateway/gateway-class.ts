import { defineKind } from "../kind.ts";
import type { Condition, KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { gatewayGroup, warnOfUnknown } from "./references.ts";

export interface GatewayClass extends KubernetesObject {
  spec: {
    controllerName: string;
    description?: string | undefined;
    parametersRef?: { group: string; kind: string; name: string; namespace?: string | undefined } | undefined;
  };
  status?: { conditions?: Condition[]; supportedFeatures?: { name: string }[] };
}

function parseGatewayClass(raw: unknown): Parsed<GatewayClass> {
  const object = new Reader(raw);
  const spec = object.object("spec");
  if (spec === undefined) object.required("spec", undefined);
  const controllerName = spec?.required("controllerName", spec.string("controllerName")) ?? "";
  if (controllerName !== "" && !controllerName.includes("/"))
    spec?.error(
      `must be a domain and a path, such as istio.io/gateway-controller, got "${controllerName}"`,
      "controllerName",
    );
  const description = spec?.string("description");
  if (spec?.has("parametersRef") === true)
    spec.warnNoEffect(
      "has no effect: configure a Gateway's Deployment in the Gateway's spec.infrastructure",
      "parametersRef",
    );
  if (spec !== undefined) warnOfUnknown(spec);
  return object.finish(() => ({
    ...(raw as GatewayClass),
    spec: { ...(raw as GatewayClass).spec, controllerName, description },
  }));
}

export const gatewayClassKind = defineKind<GatewayClass>({
  group: gatewayGroup,
  versions: ["v1", "v1beta1", "v1alpha2"],
  kind: "GatewayClass",
  plural: "gatewayclasses",
  namespaced: false,
  parse: parseGatewayClass,
});
