import type { UntypedObject } from "../../api/index.ts";
import type {
  DaemonSet,
  Deployment,
  EndpointSlice,
  Event,
  Job,
  Namespace,
  Pod,
  PodDisruptionBudget,
  Service,
  StatefulSet,
  WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import type { Canary, Check, Freeze, MeshUpgrade, RolloutJournal } from "../../api/serin/index.ts";

export interface MeshObjects {
  readonly namespaces: readonly Namespace[];
  readonly pods: readonly Pod[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly deployments: readonly Deployment[];
  readonly statefulSets: readonly StatefulSet[];
  readonly daemonSets: readonly DaemonSet[];
  readonly jobs: readonly Job[];
  readonly budgets: readonly PodDisruptionBudget[];
  readonly injectors: readonly WebhookConfiguration[];
  /** Objects of the kinds of Istio, the Gateway API and Serin, unparsed, and without managed fields. */
  readonly configs: readonly UntypedObject[];
  readonly canaries: readonly Canary[];
  readonly upgrades: readonly MeshUpgrade[];
  readonly checks: readonly Check[];
  readonly freezes: readonly Freeze[];
  readonly journals: readonly RolloutJournal[];
  readonly events: readonly Event[];
}

export const noObjects: MeshObjects = {
  namespaces: [],
  pods: [],
  services: [],
  endpointSlices: [],
  deployments: [],
  statefulSets: [],
  daemonSets: [],
  jobs: [],
  budgets: [],
  injectors: [],
  configs: [],
  canaries: [],
  upgrades: [],
  checks: [],
  freezes: [],
  journals: [],
  events: [],
};

/** Parses an RFC 3339 time to milliseconds. Undefined if it is absent or invalid. */
export function timeMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Removes the objects of these kinds, and the events about them. */
export function withoutKinds(objects: MeshObjects, hidden: ReadonlySet<string>): MeshObjects {
  if (hidden.size === 0) return objects;
  return {
    ...objects,
    configs: objects.configs.filter(({ kind = "" }) => !hidden.has(kind)),
    events: objects.events.filter(({ involvedObject: { kind = "" } }) => !hidden.has(kind)),
    ...(hidden.has("MeshUpgrade")
      ? {
          upgrades: [],
          journals: objects.journals.filter(({ metadata: { name = "" } }) => !name.startsWith("meshupgrade.")),
        }
      : {}),
    ...(hidden.has("Freeze") ? { freezes: [] } : {}),
  };
}
