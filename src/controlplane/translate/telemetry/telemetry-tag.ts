import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HttpConnectionManager_TracingSchema } from "../../../wire/envoy/index.ts";
import type { PolicySubject } from "../../model/authorization-selection.ts";
import { canonicalName, canonicalRevision } from "../../model/canonical.ts";
import type { MeshSettings } from "../../model/facts.ts";

type TagInit = Exclude<
  NonNullable<
    Exclude<MessageInitShape<typeof HttpConnectionManager_TracingSchema>, { $typeName: string }>["customTags"]
  >[number],
  { $typeName: string }
>;
export interface CustomTagInit {
  readonly tag: string;
  readonly type: NonNullable<TagInit["type"]>;
}

/** The canonical service of a subject. For a proxy of a Gateway, it is the name of the proxy's Deployment. */
export function workloadNameOf({ labels, gateway, waypoint }: PolicySubject): string {
  if (gateway !== undefined) return waypoint === true ? gateway.name : `${gateway.name}-${gateway.className}`;
  return canonicalName(labels, "unknown");
}

/** Tags that name the span's workload and the results of dry-run policies. */
export function istioTags(subject: PolicySubject, { clusterId, meshId }: MeshSettings): readonly CustomTagInit[] {
  const literals = {
    "istio.canonical_revision": canonicalRevision(subject.labels),
    "istio.canonical_service": workloadNameOf(subject),
    "istio.cluster_id": clusterId === "" ? "unknown" : clusterId,
    "istio.mesh_id": meshId === "" ? "unknown" : meshId,
    "istio.namespace": subject.namespace,
  };
  return [
    ...Object.entries(literals).map(([tag, value]): CustomTagInit => ({
      tag,
      type: { case: "literal", value: { value } },
    })),
    ...dryRunTags,
  ];
}

/** Tags with the metadata that dry-run filters write for a request. */
const dryRunTags = (["allow", "deny"] as const).flatMap((action) => [
  dryRunTag(`istio.authorization.dry_run.${action}_policy.name`, `istio_dry_run_${action}_shadow_effective_policy_id`),
  dryRunTag(`istio.authorization.dry_run.${action}_policy.result`, `istio_dry_run_${action}_shadow_engine_result`),
]);

function dryRunTag(tag: string, key: string): CustomTagInit {
  const path = [{ segment: { case: "key" as const, value: key } }];
  return {
    tag,
    type: {
      case: "metadata",
      value: { kind: { kind: { case: "request", value: {} } }, metadataKey: { key: "envoy.filters.http.rbac", path } },
    },
  };
}

const peerFields = {
  workload: "workload",
  namespace: "namespace",
  cluster_id: "cluster",
  canonical_service: "service",
  canonical_revision: "revision",
  app: "app",
  app_version: "version",
  workload_type: "type",
  instance_name: "name",
};

/** A waypoint is between two workloads, and the tags of its spans describe both. */
export function waypointTags(): readonly CustomTagInit[] {
  return [
    ["destination", "upstream"],
    ["source", "downstream"],
  ].flatMap(([end = "", peer = ""]) =>
    Object.entries(peerFields).map(([name, field]): CustomTagInit => ({
      tag: `istio.${end}_${name}`,
      type: { case: "value", value: `%FILTER_STATE(${peer}_peer_obj:FIELD:${field})%` },
    })),
  );
}
