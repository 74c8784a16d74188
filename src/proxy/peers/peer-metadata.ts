import { BoundedCache, moduleCache } from "../../base/index.ts";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { StructSchema, type Struct, type Value } from "@bufbuild/protobuf/wkt";
import { unknownWorkload, type WorkloadLabels } from "../terms/workload-labels.ts";

/** The headers in which proxies exchange the metadata of their workloads. */
export const peerMetadataHeader = "x-envoy-peer-metadata";
export const peerMetadataIdHeader = "x-envoy-peer-metadata-id";

/**
 * Serin's response header of a proxy that cannot reach its application, so that the peer's proxy can try another
 * endpoint. The peer's proxy does not pass it on.
 */
export const unreachedHeader = "x-envoy-unreached";

/** This proxy's metadata about its workload, in the form in which peers get it. */
export interface OwnMetadata {
  /** The value of {@link peerMetadataIdHeader}: the node's id. */
  readonly id: string;
  /** The value of {@link peerMetadataHeader}: see {@link encodePeerMetadata}. */
  readonly value: string;
}

/** Returns the metadata with those of these further labels that the workload has. */
export type OwnMetadataWith = (labelNames: readonly string[]) => OwnMetadata;

/** The maximum size of encoded metadata. Longer values are ignored. */
const maxEncodedBytes = 16 * 1024;
const canonicalName = "service.istio.io/canonical-name";
const canonicalRevision = "service.istio.io/canonical-revision";

/** The names of labels that peers always send. They name the workload, its service or its version. */
const describingLabels: ReadonlySet<string> = new Set([
  canonicalName,
  canonicalRevision,
  "app",
  "app.kubernetes.io/name",
  "version",
  "app.kubernetes.io/version",
]);

export const noLabelNames: readonly string[] = [];
/** The maximum number of different lists of label names. A mesh has one, and EnvoyFilters may add a few. */
const maxKnownLabelNames = 100;
const knownLabelNames = moduleCache<string, readonly string[]>("label-names", maxKnownLabelNames);

/**
 * The label names that a configuration adds to those that are always sent. Returns the same object for equal lists,
 * because other caches are keyed by it.
 */
export function furtherLabelNames(configured: readonly string[]): readonly string[] {
  const names = [...new Set(configured)].filter((name) => name !== "" && !describingLabels.has(name)).sort();
  if (names.length === 0) return noLabelNames;
  const key = names.join(",");
  const known = knownLabelNames.get(key);
  if (known !== undefined) return known;
  knownLabelNames.set(key, names);
  return names;
}

export function ownMetadata(
  id: string,
  workload: WorkloadLabels,
  podName: string,
  labels: Readonly<Record<string, string>>,
): OwnMetadataWith {
  const made = new WeakMap<readonly string[], OwnMetadata>();
  return (labelNames) => {
    let own = made.get(labelNames);
    if (own === undefined) {
      const value = encodePeerMetadata(
        withLabels(workload, labelNames, (name) => (Object.hasOwn(labels, name) ? labels[name] : undefined)),
        podName,
      );
      made.set(labelNames, (own = { id, value }));
    }
    return own;
  };
}

function withLabels(
  workload: WorkloadLabels,
  labelNames: readonly string[],
  labelOf: (name: string) => string | undefined,
): WorkloadLabels {
  const labels: Record<string, string> = {};
  for (const name of labelNames) {
    const value = labelOf(name);
    if (value !== undefined && value !== "") labels[name] = value;
  }
  return Object.keys(labels).length === 0 ? workload : { ...workload, labels };
}

/** Encodes a workload as base64 of a protobuf Struct with the keys of Istio's proxies. */
export function encodePeerMetadata(workload: WorkloadLabels, podName = ""): string {
  const labels: Record<string, string> = {
    ...workload.labels,
    app: workload.canonicalName,
    [canonicalName]: workload.canonicalName,
    [canonicalRevision]: workload.canonicalRevision,
  };
  const text: Record<string, string> = {
    NAME: podName,
    NAMESPACE: workload.namespace,
    WORKLOAD_NAME: workload.workload,
    CLUSTER_ID: workload.cluster,
  };
  const struct = structOf(text);
  struct.fields["LABELS"] = valueOf({ case: "structValue", value: structOf(labels) });
  return Buffer.from(toBinary(StructSchema, struct)).toString("base64");
}

/** Decodes a value of {@link encodePeerMetadata}. */
export function structOfPeerMetadata(encoded: string): Struct {
  return fromBinary(StructSchema, Buffer.from(encoded, "base64"));
}

/**
 * Decodes a peer's workload with these further labels, as far as the peer sends them. Returns undefined if the value is
 * invalid.
 */
export function decodePeerMetadata(
  encoded: string,
  labelNames: readonly string[] = noLabelNames,
): WorkloadLabels | undefined {
  if (encoded === "" || encoded.length > maxEncodedBytes) return undefined;
  let decoded = decodedWith.get(labelNames);
  if (decoded === undefined) decodedWith.set(labelNames, (decoded = new BoundedCache(maxDecoded)));
  const known = decoded.get(encoded);
  if (known !== undefined) return known;
  let struct: Struct;
  try {
    struct = structOfPeerMetadata(encoded);
  } catch {
    // If the value is invalid, the workload is unknown.
    return undefined;
  }
  const labelled = workloadOfStruct(struct, labelNames);
  decoded.set(encoded, labelled);
  return labelled;
}

/** The workload in a node's metadata, with these further labels. */
export function workloadOfStruct(struct: Struct, labelNames: readonly string[]): WorkloadLabels {
  const labels = struct.fields["LABELS"]?.kind;
  const label = (name: string): string | undefined =>
    labels?.case === "structValue" ? stringOf(labels.value, name) : undefined;
  const workload = stringOf(struct, "WORKLOAD_NAME");
  return withLabels(
    {
      workload: workload ?? unknownWorkload.workload,
      namespace: stringOf(struct, "NAMESPACE") ?? unknownWorkload.namespace,
      canonicalName: label(canonicalName) ?? label("app") ?? workload ?? unknownWorkload.canonicalName,
      canonicalRevision: label(canonicalRevision) ?? label("version") ?? unknownWorkload.canonicalRevision,
      cluster: stringOf(struct, "CLUSTER_ID") ?? unknownWorkload.cluster,
    },
    labelNames,
    label,
  );
}

/** The decoded values, up to a bound for each list of further labels. Peers send the same value with every request. */
const decodedWith = new WeakMap<readonly string[], BoundedCache<string, WorkloadLabels>>();
const maxDecoded = 500;

function structOf(fields: Readonly<Record<string, string>>): Struct {
  const struct = create(StructSchema);
  for (const [name, text] of Object.entries(fields))
    if (text !== "") struct.fields[name] = valueOf({ case: "stringValue", value: text });
  return struct;
}

function valueOf(kind: Value["kind"]): Value {
  return { $typeName: "google.protobuf.Value", kind };
}

function stringOf(struct: Struct, name: string): string | undefined {
  const kind = struct.fields[name]?.kind;
  return kind?.case === "stringValue" && kind.value !== "" ? kind.value : undefined;
}
