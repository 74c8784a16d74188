import { defineKind } from "../../kind.ts";
import type { KubernetesObject } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import type { Reader } from "../../reader.ts";
import { checkSelectorLabels } from "../checks.ts";
import { checkEnvoyValue } from "./envoy-filter-value.ts";
import { readEnvoyPatchMatch, type EnvoyPatchMatch } from "./envoy-filter-match.ts";
import { envoyPatchPlaces, type EnvoyPatchPlace } from "./envoy-filter-place.ts";
import { openObject, refuseDryRun, refuseUnknown } from "../fields.ts";
import { networkingGroup } from "../networking-group.ts";
import { readTargetReferences, type PolicyTargetReference } from "../policy-target.ts";

export interface EnvoyFilter extends KubernetesObject {
  spec: EnvoyFilterSpec;
}

export interface EnvoyFilterSpec {
  readonly workloadSelector?: { readonly labels: Readonly<Record<string, string>> } | undefined;
  readonly targetRefs: readonly PolicyTargetReference[];
  /** Lower values are applied first. 0 if absent. */
  readonly priority: number;
  readonly configPatches: readonly EnvoyConfigPatch[];
}

export interface EnvoyConfigPatch extends EnvoyPatchMatch {
  readonly applyTo: EnvoyPatchPlace;
  readonly operation: EnvoyPatchOperation;
  /** A part of Envoy's configuration as JSON. Empty if the operation needs none. */
  readonly value: Readonly<Record<string, unknown>>;
}

export type EnvoyPatchOperation = (typeof operations)[number];

const operations = [
  "MERGE",
  "ADD",
  "REMOVE",
  "INSERT_BEFORE",
  "INSERT_AFTER",
  "INSERT_FIRST",
  "REPLACE",
  "MERGE_AND_REPLACE_LIST",
] as const;

/** The annotation that names the services that a filter uses. A waypoint receives their clusters too. */
const referencedServices = "envoyfilter.istio.io/referenced-services";

/**
 * The maximum number of patches. The control plane takes about 10 µs to apply one patch to one cluster, so ten thousand
 * patches for the clusters of a thousand services would take minutes.
 */
const maxPatches = 256;

function parseEnvoyFilter(raw: unknown): Parsed<EnvoyFilter> {
  const opened = openObject(raw);
  const { object, spec: reader } = opened;
  refuseDryRun(opened);
  if (opened.annotations[referencedServices] !== undefined)
    object.warnNoEffect(
      "has no effect: a waypoint has clusters only for the services of its routes; add a cluster for another service with ADD",
      `metadata.annotations.${referencedServices}`,
    );
  const selector = reader.object("workloadSelector");
  const spec: EnvoyFilterSpec = {
    workloadSelector: selector === undefined ? undefined : { labels: selector.stringMap("labels") },
    targetRefs: readTargetReferences(reader),
    priority: reader.integer("priority") ?? 0,
    configPatches: reader.objects("configPatches").map(readPatch),
  };
  if (selector !== undefined && spec.targetRefs.length > 0)
    reader.error("cannot be combined with targetRefs", "workloadSelector");
  if (spec.workloadSelector !== undefined)
    checkSelectorLabels(reader, "workloadSelector.labels", spec.workloadSelector.labels);
  if (spec.configPatches.length > maxPatches)
    reader.error(
      `has ${spec.configPatches.length} patches, and at most ${maxPatches} are allowed, because each is compared with each cluster, listener and route of a proxy; use fewer, or several EnvoyFilters`,
      "configPatches",
    );
  if (spec.configPatches.length === 0) reader.warn("is empty: the filter does nothing", "configPatches");
  refuseUnknown(selector);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as EnvoyFilter), spec }));
}

function readPatch(reader: Reader): EnvoyConfigPatch {
  const patch = reader.required("patch", reader.object("patch"));
  const applyTo = reader.required("applyTo", reader.oneOf("applyTo", envoyPatchPlaces)) ?? "BOOTSTRAP";
  const match = readEnvoyPatchMatch(reader.object("match"), applyTo);
  const operation = patch?.required("operation", patch.oneOf("operation", operations)) ?? "REMOVE";
  const value = patch?.freeForm("value");
  if (patch !== undefined && operation !== "REMOVE" && !patch.has("value"))
    patch.error("is required unless the operation is REMOVE", "value");
  if (patch !== undefined && value !== undefined) checkEnvoyValue(patch.object("value") ?? patch);
  const filterClass = patch?.oneOf("filterClass", ["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]) ?? "UNSPECIFIED";
  if (filterClass !== "UNSPECIFIED")
    patch?.warnNoEffect("has no effect: the operation decides the filter's place", "filterClass");
  if (applyTo === "BOOTSTRAP")
    reader.warnNoEffect(
      "has no effect when it is BOOTSTRAP, as with Istio 1.31: proxies start from a file that their own agent writes, and the control plane does not patch it",
      "applyTo",
    );
  warnOfIdle(reader, applyTo, operation);
  refuseUnknown(patch);
  refuseUnknown(reader);
  return { ...match, applyTo, operation, value: value ?? {} };
}

type Place = EnvoyPatchPlace;
const merging: readonly EnvoyPatchOperation[] = ["MERGE", "MERGE_AND_REPLACE_LIST"];
const inserting: readonly EnvoyPatchOperation[] = ["ADD", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"];
/** The operations that have an effect in upstream, by place. An INSERT into an unordered list is an ADD. */
const effective: Readonly<Record<Place, readonly EnvoyPatchOperation[]>> = {
  LISTENER: [...merging, ...inserting, "REMOVE"],
  FILTER_CHAIN: [...merging, ...inserting, "REMOVE"],
  NETWORK_FILTER: ["MERGE", ...inserting, "REMOVE", "REPLACE"],
  HTTP_FILTER: ["MERGE", ...inserting, "REMOVE", "REPLACE"],
  LISTENER_FILTER: ["MERGE", ...inserting, "REMOVE", "REPLACE"],
  ROUTE_CONFIGURATION: merging,
  VIRTUAL_HOST: [...merging, ...inserting, "REMOVE", "REPLACE"],
  HTTP_ROUTE: [...merging, ...inserting, "REMOVE"],
  CLUSTER: [...merging, ...inserting, "REMOVE"],
  EXTENSION_CONFIG: inserting,
  BOOTSTRAP: merging,
};

function warnOfIdle(reader: Reader, applyTo: Place, operation: EnvoyPatchOperation): void {
  if (!effective[applyTo].includes(operation))
    reader.warn(
      `has no effect: ${operation} does nothing where applyTo is ${applyTo}; use ${effective[applyTo].join(", ")}`,
      "patch.operation",
      "operation-no-effect",
    );
}

export const envoyFilterKind = defineKind<EnvoyFilter>({
  group: networkingGroup,
  versions: ["v1alpha3"],
  kind: "EnvoyFilter",
  plural: "envoyfilters",
  namespaced: true,
  parse: parseEnvoyFilter,
});
