import { isTree } from "../base/index.ts";
import type { FieldIssue } from "../api/index.ts";
import type { GatewaySpec, IstioOperatorSpec } from "../api/istio/index.ts";

const places = [
  ["ingressGateways", "istio-ingressgateway"],
  ["egressGateways", "istio-egressgateway"],
] as const;

/**
 * Applies `values.gateways.enabled` and `values.gateways.<name>.enabled`, the switches of releases before 1.7. A
 * warning names the current field. The switch has no effect if the given spec enables or disables the gateway itself.
 */
export function switchGateways(
  given: unknown,
  spec: IstioOperatorSpec,
): { readonly spec: IstioOperatorSpec; readonly warnings: readonly FieldIssue[] } {
  const gateways = at(at(given, "values"), "gateways");
  const warnings: FieldIssue[] = [];
  let { components = {} } = spec;
  for (const [field, name] of places) {
    const own = at(at(gateways, name), "enabled");
    const path = typeof own === "boolean" ? `spec.values.gateways.${name}.enabled` : "spec.values.gateways.enabled";
    const wanted = typeof own === "boolean" ? own : at(gateways, "enabled") === false ? false : undefined;
    const index = (components[field] ?? []).findIndex((gateway) => gateway.name === name);
    if (wanted === undefined || index === -1 || isSaid(given, field, index, name)) continue;
    components = {
      ...components,
      [field]: components[field]?.map((gateway: GatewaySpec, place) =>
        place === index ? { ...gateway, enabled: wanted } : gateway,
      ),
    };
    warnings.push({
      path,
      message: `is read as spec.components.${field}[${index}].enabled=${String(wanted)}, its place since 1.7`,
    });
  }
  return { spec: warnings.length === 0 ? spec : { ...spec, components }, warnings };
}

function isSaid(given: unknown, field: string, index: number, name: string): boolean {
  const listed = at(at(given, "components"), field);
  if (!Array.isArray(listed)) return false;
  return listed.some(
    (gateway: unknown, place) =>
      (at(gateway, "name") === name || (place === index && at(gateway, "name") === undefined)) &&
      typeof at(gateway, "enabled") === "boolean",
  );
}

function at(tree: unknown, field: string): unknown {
  return isTree(tree) ? tree[field] : undefined;
}
