import { gatewayClassKind, type GatewayClass } from "../../api/gateway/index.ts";
import { rfc3339Seconds, type Clock, type Logger } from "../../base/index.ts";
import { createInformer, Reconciler, structurallyEqual, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import {
  eastWestClassName,
  eastWestControllerName,
  gatewayControllerName,
  ingressClassName,
  meshControllerName,
  remoteClassName,
  unmanagedControllerName,
  waypointClassName,
} from "../model/index.ts";
import { mergeConditions } from "./conditions.ts";
import { fieldManager, patchStatus } from "./patch-status.ts";
import { supportedFeatures } from "./supported-features.ts";

interface BuiltInClass {
  readonly controllerName: string;
  readonly description: string;
}

const eastWestClass: BuiltInClass = {
  controllerName: eastWestControllerName,
  description: "The default GatewayClass for Istio East West Gateways",
};
const builtInClasses: Readonly<Record<string, BuiltInClass>> = {
  [ingressClassName]: { controllerName: gatewayControllerName, description: "The default Istio GatewayClass" },
  [remoteClassName]: {
    controllerName: unmanagedControllerName,
    description: "Remote to this cluster. Does not deploy or affect configuration.",
  },
  [waypointClassName]: {
    controllerName: meshControllerName,
    description: "The default Istio waypoint GatewayClass",
  },
};

/** The time after which it is checked again whether the Gateway API is installed. */
const absentRetryMs = 10_000;
/** The time within which a deleted class is created again. */
const resyncMs = 60_000;

export interface GatewayClassOptions {
  readonly client: KubeClient;
  /** Whether the ambient mesh spans several networks. If so, there is a class for the gateways between them. */
  readonly severalNetworks: boolean;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Creates missing GatewayClasses of Istio. Accepts these and all others that name one of its controllers. It writes the
 * supported features only once, because a control plane of another version may write its own, and the two would
 * overwrite each other forever.
 */
export async function runGatewayClassController(
  { client, severalNetworks, queues, clock, log }: GatewayClassOptions,
  signal: AbortSignal,
): Promise<void> {
  const classControllers: Readonly<Record<string, BuiltInClass>> = {
    ...builtInClasses,
    ...(severalNetworks ? { [eastWestClassName]: eastWestClass } : {}),
  };
  const ourControllers: ReadonlySet<string> = new Set(
    Object.values(classControllers).map(({ controllerName }) => controllerName),
  );
  const classes = createInformer(client, gatewayClassKind, { log, clock });
  let haveWrittenFeatures = false;
  const reconciler = new Reconciler({
    name: "gateway-class",
    queues,
    log,
    clock,
    maxAttempts: Infinity,
    reconcile: async (name) => {
      const builtIn = classControllers[name];
      const found = await client.get(gatewayClassKind, name).catch(() => undefined);
      const object = found ?? (builtIn === undefined ? undefined : await createClass(client, name, builtIn));
      if (object === undefined) return builtIn === undefined ? undefined : absentRetryMs;
      if (!ourControllers.has(object.spec.controllerName)) return undefined;
      const writesFeatures =
        name === featuredClassName && (!haveWrittenFeatures || object.status?.supportedFeatures === undefined);
      await acceptClass(client, object, writesFeatures, clock);
      haveWrittenFeatures ||= writesFeatures;
      return builtIn === undefined ? undefined : resyncMs;
    },
  });
  for (const name of Object.keys(classControllers)) reconciler.add(name);
  using _classes = classes.subscribe((change) => {
    if (change.type === "set") reconciler.add(change.key);
  });
  await Promise.all([classes.run(signal), reconciler.run(signal)]);
}

/** Creates a class. Undefined if that fails, for example because the Gateway API is not installed. */
async function createClass(
  client: KubeClient,
  name: string,
  spec: GatewayClass["spec"],
): Promise<GatewayClass | undefined> {
  return await client
    .create(
      gatewayClassKind,
      { apiVersion: "gateway.networking.k8s.io/v1", kind: "GatewayClass", metadata: { name }, spec },
      { fieldManager },
    )
    .catch(() => undefined);
}

const featuredClassName = "istio";
const features = supportedFeatures.map((name) => ({ name }));

async function acceptClass(
  client: KubeClient,
  object: GatewayClass,
  writesFeatures: boolean,
  clock: Clock,
): Promise<void> {
  const before = object.status?.conditions ?? [];
  const accepted = {
    type: "Accepted",
    status: "True",
    reason: "Accepted",
    message: "Handled by Istio controller",
    observedGeneration: object.metadata.generation ?? 0,
  } as const;
  const merged = mergeConditions([accepted], before, rfc3339Seconds(clock.nowMs()));
  const conditions = [...merged, ...before.filter(({ type }) => type !== accepted.type)];
  if (
    structurallyEqual(
      before.filter(({ type }) => type === accepted.type),
      merged,
    ) &&
    (!writesFeatures || structurallyEqual(object.status?.supportedFeatures ?? [], features))
  )
    return;
  await patchStatus<GatewayClass>(client, gatewayClassKind, object, {
    conditions,
    ...(writesFeatures ? { supportedFeatures: features } : {}),
  });
}
