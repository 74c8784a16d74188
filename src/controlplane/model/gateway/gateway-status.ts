import { type GatewayAddress, type ListenerStatus } from "../../../api/gateway/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { factsKey, hostnameOf, meshKey, type GatewayFacts, type MeshSettings, type ObjectUid } from "../facts.ts";
import { gatewayServiceName } from "../gateway-names.ts";
import { gatewayHosts, gatewayReach, joined, type GatewayReach } from "./gateway-addresses.ts";
import { areParametersKnown, backendCertificateVerdict } from "./gateway-certificates.ts";
import {
  isEastWestClass,
  isIngressClass,
  isRemoteClass,
  isWaypointClass,
  waypointClassName,
} from "../gateway-class.ts";
import { judgeListeners, type ListenerVerdict } from "./listener-validation.ts";
import type { Verdict } from "../verdict.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { owningRevision } from "../ownership.ts";
import type { ParentAttachment } from "./route-attachment.ts";
import { conditionMaker, type WantedCondition } from "../wanted-condition.ts";
import type { Waypoint, Waypoints } from "../ambient/waypoint.ts";

export interface WantedGatewayStatus {
  readonly namespace: string;
  readonly name: string;
  readonly uid: ObjectUid;
  readonly addresses: readonly GatewayAddress[];
  readonly attachedListenerSets: number;
  readonly conditions: readonly WantedCondition[];
  readonly listeners: readonly WantedListenerStatus[];
}

export type WantedListenerStatus = Omit<ListenerStatus, "conditions"> & {
  readonly conditions: readonly WantedCondition[];
};

export interface AttachedRoute {
  readonly parents: readonly ParentAttachment[];
}

export interface GatewayStatusSources {
  readonly inputs: MeshInputs;
  readonly routes: readonly Collection<AttachedRoute>[];
  readonly waypoints: Waypoints;
  readonly revision: string;
}

export function acceptingGateways({ parents }: AttachedRoute): ReadonlySet<string> {
  return new Set(parents.filter((parent) => parent.refused === undefined).map((parent) => parent.gateway));
}

export function deriveGatewayStatuses(
  graph: CollectionGraph,
  { inputs, routes, waypoints, revision }: GatewayStatusSources,
): Collection<WantedGatewayStatus> {
  const byGateway = routes.map((collection) => collection.index("gateway", acceptingGateways));
  const waypointsOf = waypoints.all.index("gateway", (waypoint) => [`${waypoint.namespace}/${waypoint.gateway}`]);
  return graph.derive("gateway-statuses", inputs.gateways, (gateway, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    const { gatewayClassName } = gateway.spec;
    const isWaypoint = isWaypointClass(gatewayClassName);
    if (mesh === undefined || owningRevision(gateway, inputs, reader) !== revision) return [];
    if (isRemoteClass(gatewayClassName, inputs, reader)) return [[factsKey(gateway), remoteStatus(gateway)]];
    if (
      !isWaypoint &&
      !isIngressClass(gatewayClassName, inputs, reader) &&
      !isEastWestClass(gatewayClassName, inputs, reader)
    )
      return [];
    const attached = byGateway.flatMap((index) => reader.lookup(index, factsKey(gateway)));
    const verdicts = judgeListeners(gateway, inputs, reader);
    const ports = portsOf(verdicts);
    const reach = gatewayReach(gateway, ports, mesh, inputs, reader);
    const programmed = isWaypoint
      ? waypointVerdict(gateway, reader.lookup(waypointsOf, factsKey(gateway)), reach, mesh)
      : programmedVerdict(reach);
    // While the control plane starts, the parameters may not have been read yet. Report nothing until then.
    if (areParametersUnread(gateway, inputs, reader)) return [];
    const accepted = gatewayFault(gateway, mesh, inputs, reader);
    return [
      [
        factsKey(gateway),
        gatewayStatus(
          gateway,
          verdicts,
          { reach, programmed, accepted, backend: backendCertificateVerdict(gateway, inputs, reader) },
          attached,
        ),
      ],
    ];
  });
}

/**
 * The ports on which the Gateway's status depends: those of its own listeners or, if it has none, those of its
 * ListenerSets. A ListenerSet may belong to another namespace, and its own status says whether its ports are reachable.
 */
function portsOf(verdicts: readonly ListenerVerdict[]): readonly number[] {
  const attached = verdicts.filter(({ attaches }) => attaches);
  const own = attached.filter(({ owner }) => owner.kind === "Gateway");
  const ports = (own.length === 0 ? attached : own).map(({ listener }) => listener.port);
  return [...new Set(ports)].sort((left, right) => left - right);
}

interface GatewayVerdicts {
  readonly reach: GatewayReach;
  readonly programmed: ProgrammedVerdict;
  /** The verdict about the Gateway itself, without its listeners. */
  readonly accepted: Verdict;
  /** The verdict about the Gateway's client certificate for backends. */
  readonly backend: Verdict;
}

function gatewayStatus(
  gateway: GatewayFacts,
  verdicts: readonly ListenerVerdict[],
  { reach, programmed, accepted, backend }: GatewayVerdicts,
  routes: readonly AttachedRoute[],
): WantedGatewayStatus {
  const condition = conditionMaker(gateway.generation);
  const own = verdicts.filter(({ owner }) => owner.kind === "Gateway");
  const valid = own.filter(({ serves, isPlaceholder }) => serves || isPlaceholder).length;
  const listeners =
    valid === own.length
      ? undefined
      : {
          reason: "ListenersNotValid",
          message:
            valid === 0
              ? "None of the Gateway's listeners are valid"
              : "One or more of the Gateway's listeners are invalid",
        };
  // A Gateway with at least one serving listener is accepted. The message lists the other listeners.
  const refused = accepted ?? (valid === 0 ? listeners : undefined);
  return {
    namespace: gateway.namespace,
    name: gateway.name,
    uid: gateway.uid,
    addresses: reach.addresses,
    attachedListenerSets: new Set(
      verdicts
        .filter(({ owner, serves }) => owner.kind === "ListenerSet" && serves)
        .map(({ owner }) => factsKey(owner)),
    ).size,
    conditions: [
      {
        ...condition("Accepted", refused, "Accepted", "Resource accepted"),
        ...(refused === undefined ? listeners : undefined),
      },
      condition("Programmed", programmed.fault, "Programmed", programmed.text),
      condition("ResolvedRefs", backend, "ResolvedRefs", "All references resolved"),
      ...(fallsBack(gateway)
        ? [
            condition(
              "InsecureFrontendValidationMode",
              undefined,
              "ConfigurationChanged",
              "Gateway is operating in AllowInsecureFallback mode for frontend validation",
            ),
          ]
        : []),
    ],
    listeners: own.map((verdict) => listenerStatus(verdict, gateway.generation, factsKey(gateway), routes)),
  };
}

function fallsBack({ spec: { tls } }: GatewayFacts): boolean {
  const validations = [tls?.frontend?.default, ...(tls?.frontend?.perPort ?? []).map((entry) => entry.tls)].map(
    (entry) => entry?.validation,
  );
  return validations.some((validation) => validation?.mode === "AllowInsecureFallback");
}

/** The status of a listener. `generation` is that of the listener's owner, `gateway` the Gateway's key. */
export function listenerStatus(
  verdict: ListenerVerdict,
  generation: number,
  gateway: string,
  routes: readonly AttachedRoute[],
): WantedListenerStatus {
  const condition = conditionMaker(generation);
  const attached = routes.filter((model) =>
    model.parents.some(
      (parent) => parent.gateway === gateway && parent.listeners.some(({ name }) => name === verdict.id),
    ),
  );
  const programmed =
    verdict.serves || verdict.isPlaceholder
      ? undefined
      : (verdict.conflicted ?? { reason: "Invalid", message: "the listener is not served, see its other conditions" });
  const conflict = condition("Conflicted", verdict.conflicted, "NoConflicts", "No errors found");
  return {
    name: verdict.listener.name,
    attachedRoutes: attached.length,
    supportedKinds: [...verdict.supportedKinds],
    conditions: [
      condition("Accepted", verdict.accepted ?? verdict.conflicted, "Accepted", "No errors found"),
      // Unlike the others, this condition is True if there is a fault.
      { ...conflict, status: verdict.conflicted === undefined ? "False" : "True" },
      condition("Programmed", programmed, "Programmed", "No errors found"),
      condition("ResolvedRefs", verdict.resolvedRefs, "ResolvedRefs", "No errors found"),
    ],
  };
}

/** A fault of a Gateway that does not concern its listeners. */
export function gatewayFault(
  gateway: GatewayFacts,
  { domain }: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): Verdict {
  const { unsupported } = gatewayHosts(gateway, domain);
  if (unsupported.length > 0)
    return { reason: "UnsupportedAddress", message: `only Hostname is supported, ignoring ${unsupported.join(", ")}` };
  const parameters = gateway.spec.infrastructure?.parametersRef;
  if (parameters === undefined) return undefined;
  const invalid = (message: string): Verdict => ({ reason: "InvalidParameters", message });
  if (!areParametersKnown(parameters))
    return invalid(
      `Unsupported parametersRef group/kind ${parameters.group}/${parameters.kind}, only ConfigMap is supported`,
    );
  return reader.get(inputs.configMaps, `${gateway.namespace}/${parameters.name}`)?.exists === true
    ? undefined
    : invalid(`parametersRef ConfigMap ${gateway.namespace}/${parameters.name} does not exist`);
}

function areParametersUnread({ namespace, spec }: GatewayFacts, inputs: MeshInputs, reader: CollectionReader): boolean {
  const parameters = spec.infrastructure?.parametersRef;
  return (
    parameters !== undefined &&
    areParametersKnown(parameters) &&
    reader.get(inputs.configMaps, `${namespace}/${parameters.name}`) === undefined
  );
}

function remoteStatus(gateway: GatewayFacts): WantedGatewayStatus {
  const condition = conditionMaker(gateway.generation);
  return {
    namespace: gateway.namespace,
    name: gateway.name,
    uid: gateway.uid,
    addresses: gateway.spec.addresses ?? [],
    attachedListenerSets: 0,
    conditions: [
      condition("Accepted", undefined, "Accepted", "Resource accepted"),
      condition("Programmed", undefined, "Programmed", "This Gateway is remote; Istio will not program it"),
    ],
    listeners: [],
  };
}

export interface ProgrammedVerdict {
  readonly fault: Verdict;
  /** The message if there is no fault. */
  readonly text: string;
}

/** A waypoint is programmed when its first pod is ready. Before that, no traffic is sent to it. */
function waypointVerdict(
  gateway: GatewayFacts,
  waypoints: readonly Waypoint[],
  reach: GatewayReach,
  mesh: MeshSettings,
): ProgrammedVerdict {
  const hasService = gateway.spec.gatewayClassName === waypointClassName;
  if (hasService && reach.fault?.reason === "AddressNotUsable") return programmedVerdict(reach);
  const waiting = waypoints.filter((waypoint) => !waypoint.published).map(({ name }) => name);
  const host = hostnameOf({ namespace: gateway.namespace, name: gatewayServiceName(gateway) }, mesh.domain);
  const text = hasService
    ? `service(s) ${host}:${gateway.spec.listeners[0]?.port ?? 0}`
    : `deployment(s) ${waypoints.map(({ name }) => name).join(", ")}`;
  return {
    fault:
      waiting.length === 0
        ? undefined
        : { reason: "Pending", message: `waiting for a ready pod of ${waiting.join(", ")}` },
    text: `Resource programmed, assigned to ${text}`,
  };
}

export function programmedVerdict({ fault, internal }: GatewayReach): ProgrammedVerdict {
  return {
    fault,
    text:
      internal.length === 0 ? "Resource programmed" : `Resource programmed, assigned to service(s) ${joined(internal)}`,
  };
}
