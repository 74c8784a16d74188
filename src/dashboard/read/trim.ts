import type { KubernetesObject, ObjectMeta, UntypedObject } from "../../api/index.ts";
import { istioAnnotations } from "../../api/istio/index.ts";
import type { JournalEntry, RolloutJournal } from "../../api/serin/index.ts";
import type {
  Container,
  ContainerStatus,
  EndpointSlice,
  Event,
  Pod,
  PodTemplate,
  Service,
} from "../../api/kubernetes/index.ts";
import { definedFields } from "../../base/index.ts";
import { metadataExcerpt, type Excerpt } from "../../kube/index.ts";

/** Annotations that only tools read, and that may be long. */
const leftAnnotations = [
  "kubectl.kubernetes.io/last-applied-configuration",
  istioAnnotations.sidecarStatus,
  "deployment.kubernetes.io/revision",
];

function metadataOf({
  managedFields: _managed,
  finalizers: _finalizers,
  annotations,
  ...kept
}: ObjectMeta): ObjectMeta {
  if (annotations === undefined) return kept;
  const entries = Object.entries(annotations).filter(([name]) => !leftAnnotations.includes(name));
  return entries.length === 0 ? kept : { ...kept, annotations: Object.fromEntries(entries) };
}

export function trimObject<Value extends KubernetesObject>(object: Value): Value {
  return { ...object, metadata: metadataOf(object.metadata) };
}

/** Removes `managedFields`, and keeps what people wrote. */
export function trimConfig(object: UntypedObject): UntypedObject {
  const { managedFields: _managed, ...metadata } = object.metadata;
  return { ...object, metadata };
}

const containerFields: Excerpt = {
  name: { number: 1, holds: "text" },
  image: { number: 2, holds: "text" },
  ports: {
    number: 6,
    repeated: true,
    holds: {
      name: { number: 1, holds: "text" },
      hostPort: { number: 2, holds: "whole number" },
      containerPort: { number: 3, holds: "whole number" },
      protocol: { number: 4, holds: "text" },
      hostIP: { number: 5, holds: "text" },
    },
  },
  restartPolicy: { number: 24, holds: "text" },
};

const statusFields: Excerpt = {
  name: { number: 1, holds: "text" },
  state: {
    number: 2,
    holds: {
      waiting: { number: 1, holds: { reason: { number: 1, holds: "text" }, message: { number: 2, holds: "text" } } },
      running: { number: 2, holds: { startedAt: { number: 1, holds: "time" } } },
      terminated: {
        number: 3,
        holds: {
          exitCode: { number: 1, holds: "whole number" },
          signal: { number: 2, holds: "whole number" },
          reason: { number: 3, holds: "text" },
          message: { number: 4, holds: "text" },
          startedAt: { number: 5, holds: "time" },
          finishedAt: { number: 6, holds: "time" },
        },
      },
    },
  },
  ready: { number: 4, holds: "flag" },
  restartCount: { number: 5, holds: "whole number" },
};

/**
 * The fields of a pod that {@link trimPod} keeps. The other fields are not even decoded, because those of thousands of
 * pods would take several times the memory.
 */
export const trimmedPodExcerpt: Excerpt = {
  metadata: { number: 1, holds: { ...metadataExcerpt, creationTimestamp: { number: 8, holds: "time" } } },
  spec: {
    number: 2,
    holds: {
      containers: { number: 2, holds: containerFields, repeated: true },
      serviceAccountName: { number: 8, holds: "text" },
      nodeName: { number: 10, holds: "text" },
      hostNetwork: { number: 11, holds: "flag" },
      initContainers: { number: 20, holds: containerFields, repeated: true },
    },
  },
  status: {
    number: 3,
    holds: {
      phase: { number: 1, holds: "text" },
      conditions: {
        number: 2,
        repeated: true,
        holds: { type: { number: 1, holds: "text" }, status: { number: 2, holds: "text" } },
      },
      reason: { number: 4, holds: "text" },
      podIP: { number: 6, holds: "text" },
      startTime: { number: 7, holds: "time" },
      containerStatuses: { number: 8, holds: statusFields, repeated: true },
      initContainerStatuses: { number: 10, holds: statusFields, repeated: true },
    },
  },
};

function containerOf({ name, image, ports, restartPolicy }: Container): Container {
  return { name, ...definedFields({ image, ports, restartPolicy }) };
}

/** Fills in zeros, which the API server omits in its binary format. */
function statusOf({
  name,
  ready,
  restartCount,
  state,
}: Pick<ContainerStatus, "name" | "state"> & Partial<ContainerStatus>): ContainerStatus {
  const ended: { readonly exitCode?: number } | undefined = state?.terminated;
  const whole = ended === undefined ? state : { ...state, terminated: { ...ended, exitCode: ended.exitCode ?? 0 } };
  return {
    name,
    ready: ready ?? false,
    restartCount: restartCount ?? 0,
    image: "",
    imageID: "",
    ...(whole === undefined ? {} : { state: whole }),
  };
}

export function trimPod({ metadata, spec, status }: Pod): Pod {
  return {
    metadata: metadataOf(metadata),
    ...(spec === undefined
      ? {}
      : {
          spec: {
            containers: spec.containers.map(containerOf),
            ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(containerOf) }),
            ...(spec.nodeName === undefined ? {} : { nodeName: spec.nodeName }),
            ...(spec.serviceAccountName === undefined ? {} : { serviceAccountName: spec.serviceAccountName }),
            ...(spec.hostNetwork === undefined ? {} : { hostNetwork: spec.hostNetwork }),
          },
        }),
    ...(status === undefined
      ? {}
      : {
          status: {
            ...(status.phase === undefined ? {} : { phase: status.phase }),
            ...(status.podIP === undefined ? {} : { podIP: status.podIP }),
            ...(status.startTime === undefined ? {} : { startTime: status.startTime }),
            ...(status.reason === undefined ? {} : { reason: status.reason }),
            conditions: (status.conditions ?? [])
              .filter(({ type }) => type === "Ready")
              .map(({ type, status: value }) => ({ type, status: value })),
            ...(status.containerStatuses === undefined
              ? {}
              : { containerStatuses: status.containerStatuses.map(statusOf) }),
            ...(status.initContainerStatuses === undefined
              ? {}
              : { initContainerStatuses: status.initContainerStatuses.map(statusOf) }),
          },
        }),
  };
}

/** Keeps only the number of pods and the labels of their template. */
export function trimWorkload<Value extends KubernetesObject>(object: Value): Value {
  const { metadata, spec, status } = object as Value & {
    spec?: { replicas?: number; template?: PodTemplate; suspend?: boolean };
    status?: { active?: number; desiredNumberScheduled?: number; readyReplicas?: number };
  };
  const labels = spec?.template?.metadata?.labels;
  return {
    metadata: metadataOf(metadata),
    spec: {
      ...(spec?.replicas === undefined ? {} : { replicas: spec.replicas }),
      template: { metadata: labels === undefined ? {} : { labels } },
    },
    status: {
      ...(status?.active === undefined ? {} : { active: status.active }),
      ...(status?.desiredNumberScheduled === undefined
        ? {}
        : { desiredNumberScheduled: status.desiredNumberScheduled }),
    },
  } as unknown as Value;
}

export function trimService({ metadata, spec }: Service): Service {
  return { metadata: metadataOf(metadata), ...(spec === undefined ? {} : { spec }) };
}

export function trimSlice({ metadata, addressType, endpoints = [] }: EndpointSlice): EndpointSlice {
  const { labels, name = "", namespace = "", uid, resourceVersion } = metadata;
  return {
    metadata: {
      name,
      namespace,
      ...(labels === undefined ? {} : { labels }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    addressType,
    endpoints: endpoints.map(({ addresses, conditions, nodeName, targetRef }) => ({
      addresses,
      ...(conditions === undefined ? {} : { conditions }),
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(targetRef === undefined
        ? {}
        : {
            targetRef: {
              ...(targetRef.kind === undefined ? {} : { kind: targetRef.kind }),
              ...(targetRef.name === undefined ? {} : { name: targetRef.name }),
            },
          }),
    })),
  };
}

const maxPriorLength = 200;

/** Shortens a journal's earlier values, because a page shows only in a few words what would be restored. */
export function trimJournal(journal: RolloutJournal): RolloutJournal {
  const isShort = (value: unknown): boolean => value === undefined || JSON.stringify(value).length <= maxPriorLength;
  const entries = readable(journal.entries).map((entry): JournalEntry => {
    if (entry.type === "created") return entry;
    if (entry.type === "deleted")
      return {
        ...entry,
        body: { apiVersion: entry.object?.apiVersion ?? "", kind: entry.object?.kind ?? "", metadata: {} },
      };
    const { prior, written: _written, ...kept } = entry;
    return prior === undefined
      ? kept
      : { ...kept, prior: isShort(prior) ? prior : `${JSON.stringify(prior).slice(0, maxPriorLength)}…` };
  });
  return { ...trimObject(journal), entries };
}

/** The entries of a stored list that are objects. An engine of another version may have written others. */
function readable(entries: unknown): readonly (JournalEntry & { readonly object?: JournalEntry["object"] })[] {
  return Array.isArray(entries)
    ? (entries as readonly unknown[]).filter(
        (entry): entry is JournalEntry => typeof entry === "object" && entry !== null,
      )
    : [];
}

const maxEventMessage = 1000;

export function trimEvent(event: Event): Event {
  const { name = "", namespace = "", uid, creationTimestamp } = event.metadata;
  const { kind, name: objectName, namespace: objectNamespace } = event.involvedObject;
  const { eventTime } = event as { eventTime?: string };
  const trimmed: Event & { readonly eventTime?: string } = {
    metadata: {
      name,
      namespace,
      ...(uid === undefined ? {} : { uid }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    },
    involvedObject: {
      ...(kind === undefined ? {} : { kind }),
      ...(objectName === undefined ? {} : { name: objectName }),
      ...(objectNamespace === undefined ? {} : { namespace: objectNamespace }),
    },
    ...(event.type === undefined ? {} : { type: event.type }),
    ...(event.reason === undefined ? {} : { reason: event.reason }),
    ...(event.message === undefined ? {} : { message: event.message.slice(0, maxEventMessage) }),
    ...(event.count === undefined ? {} : { count: event.count }),
    ...(event.firstTimestamp === undefined ? {} : { firstTimestamp: event.firstTimestamp }),
    ...(event.lastTimestamp === undefined ? {} : { lastTimestamp: event.lastTimestamp }),
    ...(eventTime === undefined ? {} : { eventTime }),
  };
  return trimmed;
}
