import { fromBinary } from "@bufbuild/protobuf";
import { messageOf, userError } from "../../base/index.ts";
import type { XdsUpdate } from "../../dataplane/index.ts";
import { AddressSchema, AuthorizationSchema } from "../../wire/workload/index.ts";
import { policyFromXds, serviceFromXds, workloadFromXds } from "./from-xds.ts";
import { noChange, type MeshChange } from "./mesh-change.ts";
import type { AuthorizationPolicy, Service, Workload } from "./model.ts";

export interface ReadUpdate {
  readonly change: MeshChange;
  /** Throws if a resource could not be read. The change contains all other resources. */
  readonly refuseUnreadable: () => void;
}

/** Reads an update of `istio.workload.Address`. */
export function readAddresses({ resources, removed }: XdsUpdate): ReadUpdate {
  const workloads: Workload[] = [];
  const services: Service[] = [];
  const refuseUnreadable = readEach(resources, (body) => {
    const { type } = fromBinary(AddressSchema, body);
    if (type.case === "workload") workloads.push(workloadFromXds(type.value));
    else if (type.case === "service") services.push(serviceFromXds(type.value));
    else throw userError("xds-invalid", "it is neither a workload nor a service");
  });
  return { change: { ...noChange, removedAddresses: removed, workloads, services }, refuseUnreadable };
}

/** Reads an update of `istio.security.Authorization`. */
export function readAuthorizations({ resources, removed }: XdsUpdate): ReadUpdate {
  const policies: AuthorizationPolicy[] = [];
  const refuseUnreadable = readEach(resources, (body) => {
    policies.push(policyFromXds(fromBinary(AuthorizationSchema, body)));
  });
  return { change: { ...noChange, removedPolicies: removed, policies, hasAllPolicies: true }, refuseUnreadable };
}

function readEach(resources: XdsUpdate["resources"], read: (body: Uint8Array) => void): () => void {
  const problems: string[] = [];
  for (const { name, body } of resources) {
    try {
      read(body);
    } catch (error) {
      problems.push(`${name}: ${messageOf(error)}`);
    }
  }
  return () => {
    if (problems.length === 0) return;
    throw userError(
      "xds-invalid",
      `${problems.length} resource(s) cannot be used: ${problems.slice(0, 10).join("; ")}`,
    );
  };
}
