import { inclusionFault } from "../api/istio/index.ts";
import type { Pod } from "../api/kubernetes/index.ts";
import { nearestName, truncated } from "../base/index.ts";
import { podAnnotations, podLabels } from "./annotations.ts";
import { proxyConfigIssues } from "./mesh.ts";

/** Prefixes of the annotations that configure the mesh's proxy. */
const ownPrefixes = [
  "sidecar.istio.io/",
  "traffic.sidecar.istio.io/",
  "status.sidecar.istio.io/",
  "readiness.status.sidecar.istio.io/",
  "proxy.istio.io/",
  "inject.istio.io/",
];

const onlyEnvoy = "is for Envoy's bootstrap: it has no effect on Serin's own proxy";

/** Pod annotations that upstream documents and that have no effect here, each with the reason. */
export const annotationsWithoutEffect: Readonly<Record<string, string>> = {
  "sidecar.istio.io/bootstrapOverride": onlyEnvoy,
  "sidecar.istio.io/statsHistogramBins": onlyEnvoy,
  "sidecar.istio.io/statsFlushInterval": onlyEnvoy,
  "sidecar.istio.io/statsEvictionInterval": onlyEnvoy,
  "sidecar.istio.io/statsCompression": onlyEnvoy,
  "sidecar.istio.io/extraStatTags": "is deprecated and has no effect: use tagOverrides of a Telemetry",
  "readiness.status.sidecar.istio.io/applicationPorts":
    "has no effect: the proxy's readiness does not wait for the application's ports",
};

/** What another text than true or false means in these annotations. As in upstream, any text is accepted. */
const effectOfOtherTexts: Readonly<Record<string, string>> = {
  [podAnnotations.nativeSidecar]: "it counts as true",
  [podAnnotations.capNetBindService]: "it counts as false",
};

const read: ReadonlySet<string> = new Set(Object.values(podAnnotations));
const known: readonly string[] = [...read, ...Object.keys(annotationsWithoutEffect)];

/**
 * The maximum number of unknown annotations that are reported. The limit saves time, because each name is compared with
 * all known names.
 */
const maxUnknown = 20;

/** The maximum number of characters of a value that a warning quotes. */
const maxQuoted = 200;

/** Returns warnings, for the creator of a pod, about settings that have no effect or another effect than expected. */
export function injectionWarnings({ metadata, spec }: Pod): string[] {
  const { annotations = {}, labels = {} } = metadata;
  const warnings: string[] = [];
  let unknown = 0;
  for (const [name, value] of Object.entries(annotations)) {
    if (name === podAnnotations.proxyConfig)
      warnings.push(...proxyConfigIssues(value).warnings.map((warning) => `annotation ${name}: ${warning}`));
    const reason = Object.hasOwn(annotationsWithoutEffect, name) ? annotationsWithoutEffect[name] : undefined;
    const effect = Object.hasOwn(effectOfOtherTexts, name) ? effectOfOtherTexts[name] : undefined;
    if (effect !== undefined && !["", "true", "false"].includes(value))
      warnings.push(`annotation ${name} must be true or false, got "${truncated(value, maxQuoted)}": ${effect}`);
    if (name === podAnnotations.rewriteProbes && truthOf(value) === undefined)
      warnings.push(
        `annotation ${name} must be true or false, got "${truncated(value, maxQuoted)}": the mesh's setting decides`,
      );
    if (name === podAnnotations.statsInclusionRegexps) warnings.push(...expressionWarnings(name, value));
    if (reason !== undefined) warnings.push(`annotation ${name} ${reason}`);
    else if (!read.has(name) && ownPrefixes.some((prefix) => name.startsWith(prefix))) {
      unknown += 1;
      if (unknown <= maxUnknown) warnings.push(`annotation ${name} is not known and has no effect${suggestion(name)}`);
    }
  }
  if (unknown > maxUnknown) warnings.push(`${unknown - maxUnknown} more annotations are not known and have no effect`);
  const injectValue = labels[podLabels.inject] ?? annotations[podAnnotations.inject] ?? "";
  if (injectValue !== "" && injectValue !== "true" && injectValue !== "false")
    warnings.push(`${podLabels.inject} must be true or false, got "${injectValue}": the injection policy decides`);
  const policy = spec?.dnsPolicy ?? "ClusterFirst";
  if (policy !== "ClusterFirst")
    warnings.push(`spec.dnsPolicy is ${policy}: the proxy may not resolve the control plane's name; use ClusterFirst`);
  return warnings;
}

/** The maximum number of expressions of an annotation that are checked. The limit saves time. */
const maxExpressions = 1000;
/** The maximum number of invalid expressions of an annotation that are reported. */
const maxFaults = 20;

/**
 * Returns a warning for each invalid expression. The proxy ignores such expressions, so they are no reason to refuse
 * the pod.
 */
function expressionWarnings(name: string, value: string): string[] {
  const expressions = value.split(",");
  const warnings = expressions.slice(0, maxExpressions).flatMap((expression) => {
    const fault = inclusionFault(expression);
    return fault === undefined ? [] : [`annotation ${name} ${fault}`];
  });
  const more = warnings.length - maxFaults;
  if (more > 0) warnings.splice(maxFaults, more, `annotation ${name} has ${more} more such expressions`);
  if (expressions.length > maxExpressions)
    warnings.push(
      `annotation ${name} has ${expressions.length} expressions: only the first ${maxExpressions} are checked`,
    );
  return warnings;
}

/** Parses a boolean as Go does. Returns undefined for any other text. */
export function truthOf(text: string): boolean | undefined {
  if (/^(1|t|true)$/i.test(text)) return true;
  return /^(0|f|false)$/i.test(text) ? false : undefined;
}

function suggestion(name: string): string {
  const near = nearestName(name, known);
  return near === undefined ? "" : `; did you mean ${near}?`;
}
