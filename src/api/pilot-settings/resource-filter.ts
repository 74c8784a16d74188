import type { KindDefinition } from "../index.ts";
import { envList, userError, type Environment } from "../../base/index.ts";

/** Whether the control plane must not read the kind. */
export type IsIgnored = (kind: Pick<KindDefinition, "group" | "plural">) => boolean;

/**
 * Groups of built-in kinds, which have no CustomResourceDefinition. As in upstream, none of them can be ignored, and
 * neither can groups without a dot.
 */
const builtInGroups: ReadonlySet<string> = new Set([
  "admissionregistration.k8s.io",
  "certificates.k8s.io",
  "discovery.k8s.io",
  "networking.k8s.io",
]);
const pattern = /^(\*|[a-z0-9][-a-z0-9]*)(\.[a-z0-9][-a-z0-9]*)+$/;

/**
 * The filter for kinds that PILOT_IGNORE_RESOURCES names and PILOT_INCLUDE_RESOURCES does not. Undefined if the first
 * variable is empty. The second one then has no effect.
 */
export function readResourceFilter(env: Environment): IsIgnored | undefined {
  const ignored = patternsOf(env, "PILOT_IGNORE_RESOURCES");
  const included = patternsOf(env, "PILOT_INCLUDE_RESOURCES");
  if (ignored.length === 0) return undefined;
  return ({ group, plural }) => {
    if (!group.includes(".") || builtInGroups.has(group)) return false;
    const name = `${plural}.${group}`;
    return ignored.some((pattern) => fits(pattern, name)) && !included.some((pattern) => fits(pattern, name));
  };
}

function patternsOf(env: Environment, variable: string): readonly string[] {
  const patterns = envList(env, variable, "");
  const unreadable = patterns.find((text) => !pattern.test(text));
  if (unreadable === undefined) return patterns;
  throw userError(
    "env-invalid",
    `${variable} must list <plural>.<group> or *.<group>, separated by commas, got "${unreadable}"`,
    { hint: "such as *.istio.io,httproutes.gateway.networking.k8s.io" },
  );
}

function fits(wanted: string, name: string): boolean {
  return wanted.startsWith("*.") ? name.endsWith(wanted.slice(1)) : name === wanted;
}
