import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import type { Topics } from "../../api/dashboard/index.ts";
import { canaryKind, rolloutKinds } from "../../api/serin/index.ts";
import { groupVersionOf, type KindDefinition } from "../../api/index.ts";
import type { Identity } from "./access/identity.ts";
import type { ParsedTopic } from "./live/parse-topic.ts";
import { refusal } from "../problem.ts";

const kinds: readonly KindDefinition[] = [
  ...istioKinds,
  ...gatewayApiKinds,
  ...rolloutKinds,
] as readonly KindDefinition[];

/**
 * Throws for a topic about one object that the API server would not show to the user. Topics about many objects are
 * never refused: they leave out namespaces that the user may not read.
 */
export async function checkTopic({ name, parameters }: ParsedTopic, identity: Identity): Promise<void> {
  if (name === "workload" || name === "service") {
    const { namespace } = parameters as Topics["workload"]["parameters"];
    const namespaces = await identity.namespaces();
    if (namespaces !== "*" && !namespaces.has(namespace))
      throw refusal(
        "forbidden",
        `you may not list the pods of namespace ${namespace}`,
        "a RoleBinding to the ClusterRole view grants that",
      );
    return;
  }
  if (name !== "rollout" && name !== "config") return;
  const { kind, namespace, name: object } = parameters as Topics["rollout" | "config"]["parameters"];
  const apiVersion =
    "apiVersion" in parameters ? parameters.apiVersion : `${canaryKind.group}/${canaryKind.versions[0]}`;
  const { group } = groupVersionOf(apiVersion);
  const known = kinds.find((candidate) => candidate.kind === kind && candidate.group === group);
  if (known === undefined)
    throw refusal("not-found", `${kind} of ${apiVersion} is not a kind of the mesh's configuration`);
  if (await identity.may({ verb: "get", group, resource: known.plural, namespace, name: object })) return;
  throw refusal(
    "forbidden",
    `you may not get ${known.plural}${namespace === "" ? "" : ` in namespace ${namespace}`}`,
    `kubectl auth can-i get ${known.plural}.${group}${namespace === "" ? "" : ` -n ${namespace}`}`,
  );
}
