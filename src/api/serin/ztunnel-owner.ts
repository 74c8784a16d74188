/** Pods and namespaces name the ztunnel that shall own them by this label; a node does by `istio.io/rev`. */
export const ztunnelRevisionLabel = "serin.dev/ztunnel-rev";
/** Which ztunnel owns a pod; written by the CNI agent. */
export const ztunnelOwnerAnnotation = "serin.dev/ztunnel-owner";
/** The name of the ztunnel that has no revision. */
export const defaultZtunnelRevision = "default";

const nodeRevisionLabel = "istio.io/rev";

type Labels = Readonly<Record<string, string>> | undefined;

export interface ZtunnelOwnerQuery {
  readonly podLabels: Labels;
  readonly namespaceLabels: Labels;
  readonly nodeLabels: Labels;
  /** The revisions whose ztunnel runs on the pod's node. */
  readonly running: readonly string[];
}

/**
 * The revision of the ztunnel that shall own a pod. A pod's or a namespace's label holds also while no such ztunnel runs
 * there; a node's only while one does. Undefined when nothing decides: leave the pod with whom it is.
 */
export function ztunnelOwner(query: ZtunnelOwnerQuery): string | undefined {
  const labelled = revisionLabel(query.podLabels) ?? revisionLabel(query.namespaceLabels);
  if (labelled !== undefined) return labelled;
  const running = new Set(query.running);
  const ofNode = query.nodeLabels?.[nodeRevisionLabel];
  if (ofNode !== undefined && running.has(ofNode)) return ofNode;
  if (running.has(defaultZtunnelRevision)) return defaultZtunnelRevision;
  const [only] = running;
  return running.size === 1 ? only : undefined;
}

function revisionLabel(labels: Labels): string | undefined {
  const value = labels?.[ztunnelRevisionLabel];
  return value === undefined || value === "" ? undefined : value;
}
