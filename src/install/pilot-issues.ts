import { pilotFaults } from "../api/pilot-settings/index.ts";
import type { FieldIssue, UntypedObject } from "../api/index.ts";
import { isTree, textAt, treeAt, valueAt } from "../base/index.ts";
import type { InstallSettings } from "./settings.ts";

/** The field of the spec that sets a variable or argument of the control plane, for those with a field of their own. */
const fields: Readonly<Record<string, string>> = {
  PILOT_TRACE_SAMPLING: "values.pilot.traceSampling",
  PILOT_ENABLE_ANALYSIS: "values.global.istiod.enableAnalysis",
  PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME: "values.pilot.taint.name",
  "--keepaliveMaxServerConnectionAge": "values.pilot.keepaliveMaxServerConnectionAge",
  "--domain": "values.global.proxy.clusterDomain",
};

/** Returns settings with which the control plane would refuse to start, so that its pods would never become ready. */
export function pilotIssues(objects: readonly UntypedObject[], settings: InstallSettings): readonly FieldIssue[] {
  const issues: FieldIssue[] = [];
  for (const container of objects.flatMap(discoveryContainers))
    for (const { name, message } of pilotFaults(argumentsOf(container), environmentOf(container)))
      issues.push({ path: `spec.${fieldOf(name, settings)}`, message });
  return issues;
}

function discoveryContainers(object: UntypedObject): readonly unknown[] {
  if (object.kind !== "Deployment") return [];
  const containers = valueAt(object, "spec", "template", "spec", "containers");
  return Array.isArray(containers) ? containers.filter((container) => textAt(container, "name") === "discovery") : [];
}

function argumentsOf(container: unknown): readonly string[] {
  const args = valueAt(container, "args");
  return Array.isArray(args) ? args.map(String).filter(isLiteral) : [];
}

/** The variables whose values are literal. */
function environmentOf(container: unknown): Readonly<Record<string, string>> {
  const env = valueAt(container, "env");
  const entries = Array.isArray(env) ? (env as readonly unknown[]) : [];
  return Object.fromEntries(
    entries.flatMap((entry) => {
      const name = textAt(entry, "name");
      const value = valueAt(entry, "value");
      return isTree(entry) && name !== undefined && typeof value === "string" && isLiteral(value)
        ? [[name, value]]
        : [];
    }),
  );
}

/** Whether the text has no `$(NAME)`, which Kubernetes replaces when it starts the container. */
function isLiteral(text: string): boolean {
  return !text.includes("$(");
}

function fieldOf(name: string, { pilot, values }: InstallSettings): string {
  if (pilot.k8s?.env?.some((entry) => entry["name"] === name) === true) return `components.pilot.k8s.env[${name}]`;
  if (Object.hasOwn(treeAt(values, "pilot", "env") ?? {}, name)) return `values.pilot.env.${name}`;
  return fields[name] ?? (name.startsWith("--") ? "values.pilot.extraContainerArgs" : "components.pilot");
}
