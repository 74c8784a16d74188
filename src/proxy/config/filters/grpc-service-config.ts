import type { GrpcService } from "../../../wire/envoy/index.ts";
import type { GrpcTarget } from "../../terms/grpc-call.ts";
import { durationOr, unsupported, type ConfigNotes } from "../config-check.ts";

export function compileGrpcService(
  service: GrpcService,
  defaultTimeoutMs: number,
  where: string,
  notes: ConfigNotes,
): GrpcTarget {
  const target = service.targetSpecifier;
  if (target.case !== "envoyGrpc") throw unsupported(where, "a service without a cluster");
  const { clusterName, authority } = target.value;
  return {
    cluster: clusterName,
    authority: authority === "" ? clusterName : authority,
    timeoutMs: durationOr(service.timeout, defaultTimeoutMs),
    initialMetadata: service.initialMetadata.map(({ key, value }) => [key.toLowerCase(), value] as const),
    callCluster: notes.services.callCluster,
  };
}
