import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import { factsKey, meshKey, type ObjectUid } from "../facts.ts";
import { gatewayReach } from "./gateway-addresses.ts";
import { isEastWestClass, isIngressClass, isRemoteClass, isWaypointClass } from "../gateway-class.ts";
import { allowsSet, parentOfSet } from "./gateway-listeners.ts";
import {
  acceptingGateways,
  gatewayFault,
  listenerStatus,
  programmedVerdict,
  type GatewayStatusSources,
  type WantedListenerStatus,
} from "./gateway-status.ts";
import { judgeListeners } from "./listener-validation.ts";
import type { Verdict } from "../verdict.ts";
import { owningRevision } from "../ownership.ts";
import { conditionMaker, type WantedCondition } from "../wanted-condition.ts";

export interface WantedListenerSetStatus {
  readonly namespace: string;
  readonly name: string;
  readonly uid: ObjectUid;
  readonly conditions: readonly WantedCondition[];
  readonly listeners: readonly WantedListenerStatus[];
}

export function deriveListenerSetStatuses(
  graph: CollectionGraph,
  { inputs, routes, revision }: Omit<GatewayStatusSources, "waypoints">,
): Collection<WantedListenerSetStatus> {
  const byGateway = routes.map((collection) => collection.index("gateway", acceptingGateways));
  return graph.derive("listener-set-statuses", inputs.listenerSets, (set, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    const gateway = reader.get(inputs.gateways, parentOfSet(set) ?? "");
    if (mesh === undefined || gateway === undefined || owningRevision(gateway, inputs, reader) !== revision) return [];
    const { gatewayClassName } = gateway.spec;
    const ingress = isIngressClass(gatewayClassName, inputs, reader);
    const without = [isEastWestClass, isRemoteClass].some((isOf) => isOf(gatewayClassName, inputs, reader));
    if (!ingress && !without && !isWaypointClass(gatewayClassName)) return [];
    const { namespace, name, uid } = set;
    const condition = conditionMaker(set.generation);
    const notAllowed = (message: string): WantedListenerSetStatus => {
      const fault: Verdict = { reason: "NotAllowed", message };
      return {
        namespace,
        name,
        uid,
        conditions: [condition("Accepted", fault, "Accepted", ""), condition("Programmed", fault, "Programmed", "")],
        listeners: [],
      };
    };
    if (!ingress)
      return [[factsKey(set), notAllowed(`The "${gatewayClassName}" GatewayClass does not support ListenerSet`)]];
    if (!allowsSet(gateway, set, inputs, reader))
      return [
        [
          factsKey(set),
          notAllowed("The parent Gateway does not allow this reference; check its spec.allowedListeners"),
        ],
      ];
    const verdicts = judgeListeners(gateway, inputs, reader);
    const own = verdicts.filter(({ owner }) => owner.kind === "ListenerSet" && factsKey(owner) === factsKey(set));
    const ports = [...new Set(own.filter(({ attaches }) => attaches).map(({ listener }) => listener.port))];
    const programmed = programmedVerdict(gatewayReach(gateway, ports, mesh, inputs, reader));
    const parent = gatewayFault(gateway, mesh, inputs, reader);
    const invalid: Verdict = own.some(({ serves }) => serves)
      ? undefined
      : { reason: "ListenersNotValid", message: "None of the ListenerSet's listeners are valid" };
    const accepted =
      parent === undefined ? invalid : { reason: parent.reason, message: `Parent not accepted: ${parent.message}` };
    const attached = byGateway.flatMap((index) => reader.lookup(index, factsKey(gateway)));
    const conditions = [
      condition("Accepted", accepted, "Accepted", "Resource accepted"),
      condition("Programmed", invalid ?? programmed.fault, "Programmed", programmed.text),
    ];
    return [
      [
        factsKey(set),
        {
          namespace,
          name,
          uid,
          conditions,
          listeners: own.map((verdict) => listenerStatus(verdict, set.generation, factsKey(gateway), attached)),
        },
      ],
    ];
  });
}
